/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/libfuzzer.c - a target under libFuzzer, whose main this is not.  contrib/fuzz runs it.
 *
 * With OTTLA_FUZZ_SEEDS=DIR in the environment it writes the seeds there and ends.
 */
#include <stdlib.h>

#include "test/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("OTTLA_FUZZ_SEEDS");

	(void)argc;
	(void)argv;
	if (dir == NULL)
		return (0);
	exit(fuzz_write_seeds(dir) > 0 ? 0 : 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	fuzz_one(slice_of(p, len));
	return (0);
}
