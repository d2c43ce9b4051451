/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/unit.c - see unit.h.
 */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "test/unit/unit.h"

static char tmpdir[256];
static uint64_t seed;

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return (remove(path));
}

static void
tmpdir_remove(void)
{
	if (tmpdir[0] != '\0')
		nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	tmpdir[0] = '\0';
}

/* Memory where there is enough of it: the suites make and remove thousands of files, and none of them asks what a disk does with a sync
 * (test/unit/fs_fault.h decides that).  A container's small /dev/shm is not enough. */
static const char *
tmp_base(void)
{
	const char *base = getenv("TMPDIR");
	struct statvfs st;

	if (base != NULL)
		return (base);
	if (access("/dev/shm", W_OK | X_OK) == 0 && statvfs("/dev/shm", &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize >= UINT64_C(1) << 30)
		return ("/dev/shm");
	return ("/tmp");
}

const char *
unit_tmpdir(void)
{

	if (tmpdir[0] == '\0') {
		snprintf(tmpdir, sizeof(tmpdir), "%s/ottla-unit-XXXXXX", tmp_base());
		if (mkdtemp(tmpdir) == NULL) {
			perror(tmpdir);
			exit(2);
		}
	}
	return (tmpdir);
}

uint64_t
unit_seed(void)
{
	return (seed);
}

const char *
unit_srcdir(void)
{
	const char *dir = getenv("OTTLA_SRCDIR");

	return (dir == NULL ? UNIT_SRCDIR : dir);
}

bool
unit_check(bool ok, const char *file, int line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	CU_assertImplementation(ok, (unsigned)line, text, file, "", CU_FALSE);
	return (ok);
}

static bool
wanted(const char *name, int argc, char **argv)
{
	if (argc < 2)
		return (true);
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return (true);
	return (false);
}

int
unit_main(const char *name, const struct unit_test *tests, size_t n, int argc, char **argv)
{
	const char *given = getenv("OTTLA_TEST_SEED");
	struct timespec now;
	CU_pSuite suite;
	unsigned failed, added = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
	if (CU_initialize_registry() != CUE_SUCCESS)
		return (2);
	suite = CU_add_suite_with_setup_and_teardown(name, NULL, NULL, NULL, tmpdir_remove);
	for (size_t i = 0; i < n; i++) {
		if (!wanted(tests[i].name, argc, argv))
			continue;
		if (CU_add_test(suite, tests[i].name, tests[i].fn) == NULL)
			return (2);
		added++;
	}
	if (added == 0) {
		fprintf(stderr, "%s: no test of that name\n", argv[0]);
		return (2);
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	if (failed > 0)
		fprintf(stderr, "%s: %u checks failed; OTTLA_TEST_SEED=%" PRIu64 "\n", name, failed, seed);
	CU_cleanup_registry();
	return (failed == 0 ? 0 : 1);
}
