/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/unit.h - the little that our suites put on top of CUnit: a table of tests, checks that print both values, a temporary directory.
 *
 *	TEST(segments_roll_when_full) { CHECK_EQ(1 + 1, 2); }
 *	UNIT_MAIN("log/segment", T(segments_roll_when_full))
 *
 * The program takes test names as arguments and then runs only those; OTTLA_TEST_SEED sets the seed of random tests (printed on failure).
 */
#ifndef UNIT_H
#define UNIT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct unit_test {
	const char *name;
	void (*fn)(void);
};

#define TEST(name)	static void name(void)
#define T(name)		{ #name, name }
#define UNIT_MAIN(suite, ...) \
	int main(int argc, char **argv) { \
		static const struct unit_test tests_[] = { __VA_ARGS__ }; \
		return (unit_main(suite, tests_, sizeof(tests_) / sizeof(tests_[0]), argc, argv)); }

int	 unit_main(const char *suite, const struct unit_test *, size_t n, int argc, char **argv);
bool	 unit_check(bool ok, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
const char *unit_tmpdir(void);		/* fresh, private to this test, removed after it */
uint64_t unit_seed(void);		/* from OTTLA_TEST_SEED, else the clock; constant within a run */
const char *unit_srcdir(void);		/* top of the source tree, to find golden files */

#define CHECK(x)		unit_check(!!(x), __FILE__, __LINE__, "%s", #x)
#define CHECK_EQ(a, b)		do { int64_t a_ = (int64_t)(a), b_ = (int64_t)(b); unit_check(a_ == b_, __FILE__, __LINE__, \
				    "%s == %s: %" PRId64 " against %" PRId64, #a, #b, a_, b_); } while (0)
#define CHECK_GE(a, b)		do { int64_t a_ = (int64_t)(a), b_ = (int64_t)(b); unit_check(a_ >= b_, __FILE__, __LINE__, \
				    "%s >= %s: %" PRId64 " against %" PRId64, #a, #b, a_, b_); } while (0)
#define CHECK_STR(a, b)		do { const char *a_ = (a), *b_ = (b); unit_check(a_ != NULL && b_ != NULL && strcmp(a_, b_) == 0, __FILE__, __LINE__, \
				    "%s == %s: \"%s\" against \"%s\"", #a, #b, a_ ? a_ : "(null)", b_ ? b_ : "(null)"); } while (0)
#define CHECK_MEM(a, b, n)	unit_check(memcmp((a), (b), (n)) == 0, __FILE__, __LINE__, "%s and %s differ in %zu bytes", #a, #b, (size_t)(n))
/* Stops this test: what follows could only crash. */
#define REQUIRE(x)		do { if (!unit_check(!!(x), __FILE__, __LINE__, "%s", #x)) return; } while (0)

#endif
