/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/driver.c - a target without a fuzzer.
 *
 *	TARGET			the seeds; each of them cut and changed at some places; the inputs in test/fuzz/regress/TARGET
 *	TARGET FILE...		these inputs, one after the other
 *	TARGET --seeds DIR	writes the seeds into DIR, for a fuzzer to begin with
 *
 * It says which input it is at when it dies: the file's name, or the changed seed itself as hexadecimal digits.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/must.h"
#include "base/random.h"
#include "test/fuzz/fuzz.h"

enum { INPUT_MAX = 16 << 20, CHANGES = 12, SECONDS_MAX = 60 /* for one input */ };

static const char *current_name = "";
static struct slice current;
static unsigned ran;

static void
say_input(int signo)
{
	fprintf(stderr, "the input: %s", current_name);		/* the process is ending anyway */
	for (size_t i = 0; *current_name == '\0' && i < current.len; i++)
		fprintf(stderr, "%02x", current.p[i]);
	fputc('\n', stderr);
	signal(signo, SIG_DFL);
	raise(signo);
}

/* On the heap, of exactly that length. */
static void
run(const char *name, struct slice bytes)
{
	uint8_t *p = xmalloc(MAX(bytes.len, (size_t)1));

	if (bytes.len > 0)
		memcpy(p, bytes.p, bytes.len);
	current_name = name;
	current = slice_of(p, bytes.len);
	alarm(SECONDS_MAX);
	fuzz_one(current);
	current = SLICE_NULL;
	free(p);
	ran++;
}

static bool
run_file(const char *path)
{
	struct errbuf eb = ERRBUF_INIT;
	char *bytes;
	size_t len;

	if (fs_read_file(fs_real(), path, INPUT_MAX, &bytes, &len, &eb) != OK) {
		fprintf(stderr, "%s\n", eb.text);
		return (false);
	}
	run(path, slice_of(bytes, len));
	free(bytes);
	return (true);
}

/* ---- seeds ---- */

static void
seed_changed(struct random *random, struct slice seed)
{
	uint8_t *p = xmalloc(seed.len + 1);

	for (int i = 0; i < CHANGES && seed.len > 0; i++) {
		size_t len = i % 4 == 0 ? random_below(random, (uint32_t)seed.len) : seed.len;

		memcpy(p, seed.p, seed.len);
		for (uint32_t n = 1 + random_below(random, 4); n > 0 && len > 0; n--)
			p[random_below(random, (uint32_t)len)] = (uint8_t)random_below(random, 256);
		run("", slice_of(p, len));
	}
	free(p);
}

static void
give_run(void *ctx, struct slice seed)
{
	run("", seed);
	if (seed.len < 1 << 16)
		seed_changed(ctx, seed);
}

/* ---- regression inputs ---- */

struct regress {
	char *dir;
	bool  ok;
};

static bool
regress_one(void *ctx, const char *name, bool is_dir)
{
	struct regress *r = ctx;
	char *path = xasprintf("%s/%s", r->dir, name);

	if (!is_dir)
		r->ok = run_file(path) && r->ok;
	free(path);
	return (true);
}

static bool
regress(const char *program)
{
	const char *slash = strrchr(program, '/'), *name = slash == NULL ? program : slash + 1;
	struct regress r = { .ok = true };

	if (strncmp(name, "lt-", 3) == 0)
		name += 3;
	r.dir = xasprintf("%s/test/fuzz/regress/%s", fuzz_srcdir(), strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
	if (fs_exists(fs_real(), r.dir))
		r.ok = fs_real()->ops->list(fs_real(), r.dir, regress_one, &r, NULL) == OK && r.ok;
	free(r.dir);
	return (r.ok);
}

int
main(int argc, char **argv)
{
	struct random_seeded random;
	bool ok = true;

	if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
		return (fuzz_write_seeds(argv[2]) > 0 ? 0 : 1);
	signal(SIGABRT, say_input);
	signal(SIGALRM, say_input);
	for (int i = 1; i < argc; i++)
		ok = run_file(argv[i]) && ok;
	if (argc == 1) {
		random_seeded_init(&random, 20231104);	/* the same every time: finding new things is the fuzzer's work */
		fuzz_seeds(give_run, &random.random);
		ok = regress(argv[0]);
	}
	printf("%u inputs\n", ran);
	return (ok && ran > 0 ? 0 : 1);
}
