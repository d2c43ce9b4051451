/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/repair_states.c - every state in which a repair can die, side by side: repair_states LOGDIR TOPIC
 *
 * LOGDIR holds the same damaged partition many times, as TOPIC1-0, TOPIC2-0, ...  The repair of TOPICn-0 dies at its n-th call to the disk.
 * Prints the number of the first repair that did not die; status 1 when there were too few copies.  test/func/test_tools.py then starts a broker on it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/reclaim.h"
#include "log/inspect.h"
#include "test/unit/fs_fault.h"

static enum err
repair(const char *place_path, const char *topic, unsigned n, struct errbuf *eb)
{
	struct log_findings found = LOG_FINDINGS_INIT;
	struct fs *faulty = fs_fault_new(fs_real());
	struct log_place place;
	struct log_report r;
	char dir[4096];
	enum err e;

	snprintf(dir, sizeof(dir), "%s/%s%u-0", place_path, topic, n);
	e = log_place_read(fs_real(), place_path, false, &place, &found, eb);
	if (e == OK)
		e = log_verify(fs_real(), dir, &place, NULL, &r, eb);
	if (e == OK) {
		fs_fault_stay(faulty, true);
		fs_fault_arm(faulty, FS_FAULT_ANY, n, ERR_STOPPED);
		e = log_repair(faulty, dir, &place, &r, eb);
		log_report_fini(&r);
	}
	fs_fault_free(&faulty);
	log_place_fini(&place);
	log_findings_fini(&found);
	return (e);
}

int
main(int argc, char **argv)
{
	struct errbuf eb = ERRBUF_INIT;
	unsigned n = 1;
	enum err e;

	if (argc != 3)
		return (2);
	reclaim_thread_register();
	while ((e = repair(argv[1], argv[2], n, &eb)) == ERR_STOPPED)
		n++;
	reclaim_thread_unregister();
	if (e != OK) {
		fprintf(stderr, "repair %u: %s\n", n, eb.text);
		return (1);
	}
	printf("%u\n", n);
	return (0);
}
