/* SPDX-License-Identifier: Apache-2.0
 *
 * groupload.c - `groupload [option=value ...] ADDRESS PORT`: a load of consumer groups, driven by commands on standard input.
 *
 * Each command is answered with one line of JSON on standard output.
 *
 *	join				every member connects and joins; done when every group is whole
 *	commit				every member commits its partitions once
 *	run SECONDS HEARTBEATS COMMITS	so many per second of each, open loop; latencies, the broker's and our own CPU seconds
 *	fill COMMITS PARTITIONS		commits of one partition each, without members
 *	records SECONDS RATE BYTES CONSUMERS	so many records of that size per second, each a request (acks=all) to the partitions in turn, while so many
 *					consumers wait for them; latencies until acknowledged and until consumed
 *	fetch				connects as soon as it is possible, and fetches every group's offsets; times of CLOCK_MONOTONIC
 */
#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/str.h"
#include "groupload.h"
#include "net/addr.h"

enum { DESCRIPTORS_SPARE = 64, OPTION_MAX = 1000000 };

static const struct { const char *name; size_t at; int64_t min; } numbers[] = {
	{ "groups", offsetof(struct load, groups), 1 },
	{ "members", offsetof(struct load, members), 1 },
	{ "partitions", offsetof(struct load, partitions), 1 },
	{ "pid", offsetof(struct load, pid), 0 },
};

static void
option(struct load *l, const char *text)
{
	const char *value = strchr(text, '=');
	size_t len = value == NULL ? 0 : (size_t)(value - text);
	int64_t n;
	int as_int;

	if (value != NULL && strncmp(text, "topic=", len + 1) == 0) {
		l->topic = value + 1;
		return;
	}
	if (value != NULL && strncmp(text, "prefix=", len + 1) == 0) {
		l->prefix = value + 1;
		return;
	}
	for (size_t i = 0; value != NULL && i < NELEM(numbers); i++) {
		if (strlen(numbers[i].name) != len || strncmp(text, numbers[i].name, len) != 0)
			continue;
		if (!str_to_i64(slice_str(value + 1), &n) || n < numbers[i].min || n > INT32_MAX || (i < 3 && n > OPTION_MAX))
			errx(1, "%s: not a number that serves", text);
		as_int = (int)n;
		memcpy((char *)l + numbers[i].at, &as_int, sizeof(as_int));
		return;
	}
	errx(1, "%s: groups=, members=, partitions=, pid=, topic= and prefix= are known", text);
}

static void
descriptors_raise(struct load *l)
{
	rlim_t need = (rlim_t)l->groups * (rlim_t)l->members + (rlim_t)l->partitions + DESCRIPTORS_SPARE;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		err(1, "RLIMIT_NOFILE");
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) != 0)
		err(1, "RLIMIT_NOFILE");
	if (r.rlim_max < need)
		errx(1, "%ju descriptors are allowed, %ju are needed", (uintmax_t)r.rlim_max, (uintmax_t)need);
}

static void
command(struct load *l, const char *line)
{
	double seconds, heartbeats, commits;
	int64_t n;
	int partitions, bytes, consumers;

	if (strcmp(line, "join") == 0 && l->member == NULL)
		members_join(l);
	else if (strcmp(line, "commit") == 0 && l->member != NULL)
		members_commit(l);
	else if (sscanf(line, "run %lf %lf %lf", &seconds, &heartbeats, &commits) == 3 && l->member != NULL)
		members_run(l, seconds, heartbeats, commits);
	else if (sscanf(line, "fill %" SCNd64 " %d", &n, &partitions) == 2 && n > 0 && partitions > 0)
		fill(l, n, partitions);
	else if (sscanf(line, "records %lf %lf %d %d", &seconds, &heartbeats, &bytes, &consumers) == 4 && bytes > 0 && consumers >= 0)
		records_run(l, seconds, heartbeats, bytes, consumers);
	else if (strcmp(line, "fetch") == 0)
		fetch(l);
	else
		errx(1, "%s: no command (run and commit need a join before)", line);
}

int
main(int argc, char **argv)
{
	static struct load l = { .groups = 1, .members = 1, .partitions = 1, .topic = "t", .prefix = "load-" };
	struct errbuf eb = ERRBUF_INIT;
	char line[256];
	int64_t port;

	if (argc < 3 || !str_to_i64(slice_str(argv[argc - 1]), &port) || port <= 0 || port > UINT16_MAX)
		errx(1, "usage: groupload [option=value ...] ADDRESS PORT");
	for (int i = 1; i < argc - 2; i++)
		option(&l, argv[i]);
	if (addr_resolve(argv[argc - 2], (uint16_t)port, &l.address, &l.address_len, &eb) != OK)
		errx(1, "%s", eb.text);
	signal(SIGPIPE, SIG_IGN);
	descriptors_raise(&l);
	load_init(&l);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		command(&l, line);
		fflush(stdout);
	}
	members_close(&l);
	load_fini(&l);
	return (0);
}
