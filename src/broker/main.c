/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/main.c - ottlad: one broker as a process.
 *
 * ORDER      arguments -> configuration (every mistake is reported, then exit 1) -> keeper, forked while there is no thread, lock, socket or
 *            open diagnostics file -> signals blocked -> diagnostics -> the control loop, which this thread turns -> the broker.
 * SIGNALS    SIGTERM, SIGINT: stop cleanly (a second one while stopping is ignored).  SIGHUP: diagnostics file opened anew.
 *            SIGUSR1: the longest turns of the loops are told.
 * EXIT       0 after a clean stop; 1 when it could not start or had to stop by itself; 2 for a wrong command line.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "base/alloc.h"
#include "base/limits.h"
#include "base/reclaim.h"
#include "broker/broker.h"
#include "event/signals.h"

struct daemon {
	struct config	*config;
	struct diag	*diag;
	struct loop	*control;
	struct keeper	*keeper;
	struct signals	*signals;
	struct broker	*broker;
	bool		 done, stopping;
	int		 status;
};

struct arguments {
	const char	*file;
	const char	**overrides;
	size_t		 noverrides;
	bool		 check;
};

static void
usage(FILE *to, int status)
{
	fputs("usage: ottlad [--check] FILE [--override KEY=VALUE ...]\n\nRuns a Kafka broker that is coordinated by ZooKeeper.\n\n", to);
#define OPTION(flag, argument, words)	fprintf(to, "  %-23s %s\n", *flag == '\0' ? argument : *argument == '\0' ? flag : flag " " argument, words);
#include "broker/ottlad.def"
	fputs("\nThe least that FILE needs is zookeeper.connect; start with conf/server.properties, where each line is explained.\n"
	    "When it serves, ottlad prints one line that begins with \"ottlad ready:\" on standard error.\n\nSignals:\n", to);
#define SIGNAL(name, words)		fprintf(to, "  %-23s %s\n", #name, words);
#include "broker/ottlad.def"
	fputs("\nExit status:\n", to);
#define EXIT(status, words)		fprintf(to, "  %-23d %s\n", status, words);
#include "broker/ottlad.def"
	fputs("\nSee ottlad(8) and server.properties(5).\n", to);
	exit(status);
}

static void
arguments_parse(struct arguments *a, int argc, char **argv)
{
	a->overrides = xcalloc((size_t)argc + 1, sizeof(*a->overrides));
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			usage(stdout, 0);
		if (strcmp(argv[i], "--version") == 0) {
			printf("ottlad %s\n", PACKAGE_VERSION);
			exit(0);
		}
		if (strcmp(argv[i], "--check") == 0) {
			a->check = true;
		} else if (strcmp(argv[i], "--override") == 0) {
			if (++i == argc || strchr(argv[i], '=') == NULL) {
				fprintf(stderr, "ottlad: --override wants KEY=VALUE\n");
				usage(stderr, 2);
			}
			a->overrides[a->noverrides++] = argv[i];
		} else if (argv[i][0] == '-' && argv[i][1] != '\0') {
			fprintf(stderr, "ottlad: unknown option %s\n", argv[i]);
			usage(stderr, 2);
		} else if (a->file != NULL) {
			fprintf(stderr, "ottlad: one configuration file, please (%s and %s were given)\n", a->file, argv[i]);
			usage(stderr, 2);
		} else {
			a->file = argv[i];
		}
	}
	if (a->file == NULL)
		usage(stderr, 2);
}

static struct config *
configuration(const struct arguments *a)
{
	struct config_report report = CONFIG_REPORT_INIT;
	struct config_input input = { .file = a->file, .overrides = a->overrides, .override_count = a->noverrides,
		.fs = fs_real(), .environment = environ };
	struct strbuf words = STRBUF_INIT;
	struct errbuf eb = ERRBUF_INIT;
	struct config *config = NULL;
	char *text = NULL;
	size_t len;
	enum err e;

	e = fs_read_file(fs_real(), a->file, LIMIT_CONFIG_FILE_MAX, &text, &len, &eb);
	if (e != OK) {
		fprintf(stderr, "ottlad: %s\n", eb.text);
		exit(1);
	}
	input.text = slice_of(text, len);
	e = config_load(&input, &config, &report);
	if (a->check) {
		config_check(config, &report, &words);
		fputs(strbuf_str(&words), stdout);
		exit(e == OK ? 0 : 1);
	}
	for (size_t i = 0; i < report.count; i++)
		fprintf(stderr, "ottlad: %s%s\n", report.notes[i].severity == CONFIG_ERROR ? "" : "warning: ", report.notes[i].text);
	if (e != OK) {
		fprintf(stderr, "ottlad: %zu mistakes in the configuration; nothing was started\n", report.errors);
		exit(1);
	}
	config_report_fini(&report);
	free(text);
	return (config);
}

static enum diag_level
level_of(const char *text)
{
	if (strcmp(text, "debug") == 0)
		return (DIAG_DEBUG);
	if (strcmp(text, "warning") == 0)
		return (DIAG_WARNING);
	return (strcmp(text, "error") == 0 ? DIAG_ERROR : DIAG_INFO);
}

static struct diag *
diagnostics(const struct config *c)
{
	struct diag_options opt = {
	    .path = c->ottla_diagnostics_file,
	    .json = strcmp(c->ottla_diagnostics_format, "json") == 0,
	    .level = level_of(c->ottla_diagnostics_level),
	    .clock = clock_real(),
	};
	struct errbuf eb = ERRBUF_INIT;
	struct diag *d = NULL;

	if (diag_new(&opt, &d, &eb) != OK) {
		fprintf(stderr, "ottlad: ottla.diagnostics.file: %s\n", eb.text);
		exit(1);
	}
	return (d);
}

/* ---- what the broker tells ---- */

static void
say(struct daemon *d, const char *state)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, state);
#else
	(void)state;
#endif
	(void)d;
}

static void
started(void *ctx, enum err e, const struct errbuf *why)
{
	struct daemon *d = ctx;
	struct strbuf words = STRBUF_INIT;

	if (e != OK) {
		if (d->config->ottla_diagnostics_file != NULL)	/* else it would stand there twice */
			diag_error(d->diag, "start", "%s", why->text);
		fprintf(stderr, "ottlad: cannot start: %s\n", why->text);
		d->status = 1;
		d->done = true;
		return;
	}
	broker_describe(d->broker, &words);
	fprintf(stderr, "ottlad ready: %s\n", strbuf_str(&words));
	strbuf_fini(&words);
	say(d, "READY=1");
}

static void
must_stop(void *ctx, const char *why)
{
	struct daemon *d = ctx;

	if (d->config->ottla_diagnostics_file != NULL)
		diag_error(d->diag, "stop", "%s", why);
	fprintf(stderr, "ottlad: stopping: %s\n", why);
	d->status = 1;
	d->stopping = true;
	broker_stop(d->broker);
}

static void
ended(void *ctx)
{
	struct daemon *d = ctx;

	d->done = true;
}

static void
on_signal(void *ctx, int signo)
{
	struct daemon *d = ctx;
	struct errbuf eb = ERRBUF_INIT;

	if (signo == SIGHUP) {
		if (diag_reopen(d->diag, &eb) != OK)
			diag_error(d->diag, "main", "diagnostics file: %s; writing on into the old one", eb.text);
		return;
	}
	if (signo == SIGUSR1) {
		broker_tell_turns(d->broker);
		return;
	}
	if (d->stopping)
		return;
	d->stopping = true;
	diag_info(d->diag, "main", "%s: stopping", signo == SIGINT ? "SIGINT" : "SIGTERM");
	say(d, "STOPPING=1");
	broker_stop(d->broker);
}

/* ---- the process ---- */

static void
start_keeper(struct daemon *d)
{
	struct errbuf eb = ERRBUF_INIT;

	if (d->config->ottla_keeper_enable && !d->config->zookeeper_embedded &&	/* which dies with us, and ends our session when it is back */
	    keeper_start(&d->keeper, &eb) != OK)
		fprintf(stderr, "ottlad: warning: no keeper (%s): after a crash others wait for the ZooKeeper session to expire\n", eb.text);
}

/* As the JVM does: the usual soft limit of 1,024 descriptors is a few hundred partitions, the hard one is what the operator grants. */
static void
raise_descriptor_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur == rl.rlim_max)
		return;
	rl.rlim_cur = rl.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &rl);	/* else it is what it was */
}

/* A quarter of the descriptors for index files: the rest is for data files and connections, as in a Java broker. */
static uint32_t
open_indexes_max(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur == RLIM_INFINITY)
		return (0);
	return ((uint32_t)MIN(rl.rlim_cur / 8 + 1, (rlim_t)INT32_MAX));
}

static void
fatal(const char *what, const struct errbuf *eb)
{
	fprintf(stderr, "ottlad: %s: %s\n", what, eb->text);
	exit(1);
}

static void
make_loop(struct daemon *d)
{
	struct loop_options opt = { .name = "control", .clock = clock_real() };
	struct errbuf eb = ERRBUF_INIT;

	if (loop_new(&opt, &d->control, &eb) != OK)
		fatal("control loop", &eb);
	if (signals_new(d->control, on_signal, d, &d->signals, &eb) != OK)
		fatal("signals", &eb);
}

static void
run(struct daemon *d)
{
	struct broker_options opt = {
	    .config = d->config, .fs = fs_real(), .clock = clock_real(), .random = random_real(), .diag = d->diag, .control = d->control,
	    .keeper = d->keeper, .open_indexes_max = open_indexes_max(), .started = started, .must_stop = must_stop, .ended = ended, .ctx = d,
	};

	reclaim_thread_register();
	d->broker = broker_new(&opt);
	broker_start(d->broker);
	while (!d->done)
		loop_turn(d->control, INT64_MAX);
	broker_free(&d->broker);
	signals_free(&d->signals);
	loop_free(&d->control);
	reclaim_thread_unregister();
}

int
main(int argc, char **argv)
{
	struct arguments a = { 0 };
	struct daemon d = { 0 };

	arguments_parse(&a, argc, argv);
	d.config = configuration(&a);
	start_keeper(&d);
	raise_descriptor_limit();
	signals_block();
	d.diag = diagnostics(d.config);
	make_loop(&d);
	run(&d);
	keeper_free(&d.keeper);
	config_unref(&d.config);
	diag_free(&d.diag);
	free(a.overrides);
	return (d.status);
}
