/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/main.c - ottla, the operator's command line.
 */
#include "base/reclaim.h"
#include "tools/tools.h"

int
main(int argc, char **argv)
{
	struct arguments a;
	enum status status;

	if (arguments_parse(argc, argv, &a, &status)) {
		reclaim_thread_register();
		status = a.verb->fn(&a);
		progress_end();
		reclaim_thread_unregister();
	}
	arguments_fini(&a);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "ottla: standard output could not be written\n");
		status = worse(status, STATUS_FAILED);
	}
	return ((int)status);
}
