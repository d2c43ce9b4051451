/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/libfuzzer.c - a target under libFuzzer, whose main this is not.  contrib/fuzz runs it.
 *
 * With OTTLA_FUZZ_SEEDS=DIR in the environment it writes the seeds there and ends.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/must.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct into {
	const char *dir;
	unsigned    n;
};

static void
give(void *ctx, struct slice seed)
{
	struct into *into = ctx;
	char *path = xasprintf("%s/seed-%04u", into->dir, into->n++);
	struct file *f = NULL;

	must(file_open(fs_real(), path, FS_RDWR | FS_CREATE | FS_TRUNC, &f, NULL) == OK);
	must(file_pwrite(f, seed.p, seed.len, 0, NULL) == OK);
	file_unref(&f);
	free(path);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct into into = { getenv("OTTLA_FUZZ_SEEDS"), 0 };

	(void)argc;
	(void)argv;
	if (into.dir == NULL)
		return (0);
	fuzz_seeds(give, &into);
	exit(into.n > 0 ? 0 : 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	fuzz_one(slice_of(p, len));
	return (0);
}
