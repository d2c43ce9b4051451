/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rest of the house stands on: arenas, locks and their ranks, assertions, diagnostics, reclamation.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/diag.h"
#include "base/fs.h"
#include "base/lock.h"
#include "base/must.h"
#include "base/random.h"
#include "base/reclaim.h"
#include "test/unit/unit.h"

/* ---- arenas ---- */
TEST(arena_memory_is_aligned_disjoint_and_capped)
{
	struct random_seeded rnd;
	struct arena a;
	size_t total = 0;

	random_seeded_init(&rnd, unit_seed());
	arena_init(&a, 1000000);
	for (;;) {
		size_t n = random_below(&rnd.random, 3000) >> random_below(&rnd.random, 12);
		uint8_t *p = arena_alloc(&a, n);

		if (p == NULL)
			break;
		CHECK_EQ((uintptr_t)p % 16, 0);
		memset(p, 0xaa, n);	/* ASan or a broken list would tell */
		total += n;
	}
	CHECK(a.full);
	CHECK(a.used <= a.cap && total <= a.cap && total > 900000);
	CHECK(arena_alloc(&a, SIZE_MAX) == NULL && arena_alloc(&a, SIZE_MAX - 8) == NULL);
	arena_reset(&a);
	CHECK(!a.full && a.used == 0 && a.cap == 1000000);
	CHECK(arena_alloc(&a, 0) != NULL);
	CHECK(arena_alloc(&a, 1000000) == NULL && a.full);
	arena_fini(&a);
	arena_fini(&a);
	CHECK(arena_alloc(&a, 1) == NULL);	/* its cap is zero until it is initialised again */
}

TEST(arena_arrays_are_zero_and_their_size_cannot_wrap)
{
	struct arena a;
	int64_t *v;
	bool zero = true;

	arena_init(&a, 100000);
	memset(arena_alloc(&a, 1000), 0xff, 1000);
	arena_reset(&a);
	v = ARENA_ARRAY(&a, int64_t, 100);
	for (unsigned i = 0; i < 100; i++)
		zero = zero && v[i] == 0;
	CHECK(zero);
	CHECK(arena_calloc(&a, SIZE_MAX / 4, 8) == NULL);
	CHECK(a.full);
	arena_fini(&a);
}

TEST(arena_text_is_copied)
{
	struct arena a;

	arena_init(&a, 4096);
	CHECK_STR(arena_strndup(&a, "abcdef", 3), "abc");
	CHECK_STR(arena_strndup(&a, NULL, 0), "");
	CHECK_STR(arena_printf(&a, "%s-%d", "topic", 7), "topic-7");
	CHECK(arena_dup(&a, SLICE_NULL).p == NULL);
	CHECK(arena_dup(&a, SLICE_LIT("")).p != NULL);
	CHECK(slice_eq_str(arena_dup(&a, SLICE_LIT("xy")), "xy"));
	CHECK(!a.full);
	CHECK(arena_strndup(&a, "x", SIZE_MAX) == NULL && a.full);
	CHECK(arena_printf(&a, "%5000d", 1) == NULL);
	arena_fini(&a);
}

static char order[8];

static void
note_cleanup(void *c)
{
	order[strlen(order)] = *(char *)c;
}

TEST(arena_cleanups_run_newest_first_and_once)
{
	struct arena a, none;

	memset(order, 0, sizeof(order));
	arena_init(&a, 4096);
	arena_init(&none, 0);
	CHECK(arena_on_end(&a, note_cleanup, (char[]){ "1" }));
	CHECK(arena_on_end(&a, note_cleanup, (char[]){ "2" }));
	CHECK(!arena_on_end(&none, note_cleanup, (char[]){ "x" }));
	arena_reset(&a);
	CHECK_STR(order, "21");
	CHECK(arena_on_end(&a, note_cleanup, (char[]){ "3" }));
	arena_fini(&a);
	CHECK_STR(order, "213");
	arena_fini(&none);
	CHECK_STR(order, "213");
}

TEST(heap_memory_of_nothing_is_something)
{
	char *s = xasprintf("%s%d", "a", 1), *t = xstrndup("abc", 2);
	void *p = xmalloc(0), *q = xcalloc(0, 8);

	CHECK(p != NULL && q != NULL);
	p = xreallocarray(p, 3, 5);
	CHECK_STR(s, "a1");
	CHECK_STR(t, "ab");
	free(s);
	free(t);
	free(p);
	free(q);
}

/* ---- panics, in a child whose words are kept ---- */
static bool
dies(void (*fn)(void), char *said, size_t size)
{
	int p[2], status = 0;
	size_t n = 0;
	ssize_t got;
	pid_t child;

	if (pipe(p) != 0)
		return (false);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		dup2(p[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(p[1]);
	while (n + 1 < size && (got = read(p[0], said + n, size - 1 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	close(p[0]);
	return (waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void
dump(void)
{
	static const char words[] = "doing: decoding Fetch\n";

	if (write(STDERR_FILENO, words, sizeof(words) - 1) < 0)
		abort();
	must(false);	/* a dump that fails itself does not loop */
}

static void
broken_promise(void)
{
	must_dump = dump;
	must(1 + 1 == 3);
}

TEST(a_broken_assertion_dies_with_a_dump)
{
	char said[4096];

	CHECK(dies(broken_promise, said, sizeof(said)));
	CHECK(strstr(said, "panic: ") != NULL && strstr(said, "broken_promise: 1 + 1 == 3") != NULL);
	CHECK(strstr(said, "doing: decoding Fetch") != NULL);
}

/* ---- locks ---- */
TEST(locks_in_rank_order_are_fine)
{
	struct lock low, high;

	lock_init(&low, LOCK_partition);
	lock_init(&high, LOCK_log);
	lock_acquire(&low);
	CHECK(lock_try(&high));
	lock_must_hold(&low);
	lock_release(&low);	/* any order of release */
	lock_must_hold(&high);
	lock_release(&high);
	lock_must_hold_none();
	lock_fini(&low);
	lock_fini(&high);
}

static void
wrong_order(void)
{
	struct lock low, high;

	lock_init(&low, LOCK_partition);
	lock_init(&high, LOCK_log);
	lock_acquire(&high);
	lock_acquire(&low);
}

static void
callback_under_lock(void)
{
	struct lock l;

	lock_init(&l, LOCK_log);
	lock_acquire(&l);
	lock_must_hold_none();
}

static void
twice(void)
{
	struct lock l;

	lock_init(&l, LOCK_log);
	lock_acquire(&l);
	lock_acquire(&l);
}

static void
not_held(void)
{
	struct lock l;

	lock_init(&l, LOCK_log);
	lock_must_hold(&l);
}

TEST(developer_builds_panic_on_a_wrong_lock_order)
{
#ifdef OTTLA_DEVELOPER
	char said[4096];

	CHECK(dies(wrong_order, said, sizeof(said)));
	CHECK(strstr(said, "rank") != NULL);
	CHECK(dies(callback_under_lock, said, sizeof(said)));
	CHECK(dies(twice, said, sizeof(said)));
	CHECK(dies(not_held, said, sizeof(said)));
#else
	(void)wrong_order;
	(void)callback_under_lock;
	(void)twice;
	(void)not_held;
#endif
}

struct handshake {
	struct lock lock;
	struct condition changed;
	int stage;
};

static void *
answer(void *arg)
{
	struct handshake *h = arg;

	lock_acquire(&h->lock);
	while (h->stage != 1)
		condition_wait(&h->changed, &h->lock);
	h->stage = 2;
	condition_signal(&h->changed);
	lock_release(&h->lock);
	return (NULL);
}

TEST(conditions_wake_and_time_out)
{
	struct handshake h = { .stage = 0 };
	pthread_t thread;

	lock_init(&h.lock, LOCK_mailbox);
	condition_init(&h.changed);
	REQUIRE(pthread_create(&thread, NULL, answer, &h) == 0);
	lock_acquire(&h.lock);
	CHECK(!condition_wait_ms(&h.changed, &h.lock, 5));
	CHECK(!condition_wait_ms(&h.changed, &h.lock, -1));
	h.stage = 1;
	condition_broadcast(&h.changed);
	while (h.stage != 2)
		condition_wait(&h.changed, &h.lock);
	lock_release(&h.lock);
	pthread_join(thread, NULL);
	condition_fini(&h.changed);
	lock_fini(&h.lock);
}

/* ---- diagnostics ---- */
static struct diag *
diag_to(const char *path, bool json, struct clock_manual *clock)
{
	struct diag_options o = { .path = path, .json = json, .level = DIAG_INFO, .clock = &clock->clock };
	struct diag *d = NULL;

	clock_manual_init(clock, 1795371639123);
	CHECK_EQ(diag_new(&o, &d, NULL), OK);
	return (d);
}

static char *
content(const char *path)
{
	char *text = NULL;
	size_t len;

	CHECK_EQ(fs_read_file(fs_real(), path, 1000000, &text, &len, NULL), OK);
	return (text);
}

TEST(diagnostic_lines_have_one_form)
{
	struct clock_manual clock;
	struct diag *d;
	char path[300], *text;

	snprintf(path, sizeof(path), "%s/text", unit_tmpdir());
	d = diag_to(path, false, &clock);
	diag_debug(d, "log", "not shown %d", 1);
	diag_warning(d, "controller", "topic %s\nforged line\x1b", "t");
	diag_set_level(d, DIAG_DEBUG);
	diag_debug(d, "log", "shown");
	diag_free(&d);
	diag_free(&d);
	text = content(path);
	CHECK_STR(text, "2026-11-22T18:20:39.123Z warning [controller] topic t\\x0aforged line\\x1b\n"
			"2026-11-22T18:20:39.123Z debug [log] shown\n");
	free(text);
	snprintf(path, sizeof(path), "%s/json", unit_tmpdir());
	d = diag_to(path, true, &clock);
	diag_error(d, "log", "a \"quoted\"\nline");
	diag_free(&d);
	text = content(path);
	CHECK_STR(text, "{\"time\":\"2026-11-22T18:20:39.123Z\",\"level\":\"error\",\"area\":\"log\",\"message\":\"a \\\"quoted\\\"\\nline\"}\n");
	free(text);
}

TEST(diagnostics_move_to_a_new_file_when_reopened)
{
	struct clock_manual clock;
	struct errbuf eb = ERRBUF_INIT;
	char path[300], moved[300], *text;
	struct diag *d;

	snprintf(path, sizeof(path), "%s/d/current", unit_tmpdir());
	snprintf(moved, sizeof(moved), "%s/d2", unit_tmpdir());
	{
		struct diag_options o = { .path = path, .clock = clock_real() };
		struct diag *none = NULL;

		CHECK_EQ(diag_new(&o, &none, &eb), ERR_NOENT);
		CHECK(none == NULL && strstr(eb.text, "current") != NULL);
	}
	snprintf(path, sizeof(path), "%s/d1", unit_tmpdir());
	d = diag_to(path, false, &clock);
	diag_info(d, "a", "one");
	CHECK_EQ(rename(path, moved), 0);
	diag_info(d, "a", "two");
	CHECK_EQ(diag_reopen(d, NULL), OK);
	diag_info(d, "a", "three");
	CHECK_EQ(diag_dropped(d), 0);
	diag_free(&d);
	text = content(moved);
	CHECK(strstr(text, "one") != NULL && strstr(text, "two") != NULL && strstr(text, "three") == NULL);
	free(text);
	text = content(path);
	CHECK(strstr(text, "three") != NULL && strstr(text, "two") == NULL);
	free(text);
	CHECK_EQ(diag_reopen(NULL, NULL), OK);
}

TEST(a_diagnostic_that_cannot_be_written_is_counted)
{
	struct clock_manual clock;
	struct diag *d = diag_to("/dev/full", false, &clock);

	diag_info(d, "a", "lost");
	CHECK_EQ(diag_dropped(d), 1);
	diag_free(&d);
	diag_info(NULL, "a", "nobody listens");
	CHECK(!diag_enabled(NULL, DIAG_ERROR));
	diag_set_level(NULL, DIAG_INFO);
}

static void
capture(void *ctx, enum diag_level level, const char *area, const char *text)
{
	snprintf(ctx, 100, "%d %s %s", (int)level, area, text);
}

TEST(tests_can_capture_diagnostics)
{
	char seen[100] = "";
	struct diag *d = diag_capture(capture, seen);

	diag_debug(d, "zk", "x%d", 1);
	CHECK_STR(seen, "0 zk x1");
	diag_free(&d);
}

struct shouting {
	pthread_t thread;
	struct diag *diag;
	char c;
};

static void *
shout(void *arg)
{
	struct shouting *s = arg;
	char text[200];

	memset(text, s->c, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (unsigned i = 0; i < 200; i++)
		diag_info(s->diag, "x", "%s", text);
	return (NULL);
}

TEST(lines_of_several_threads_do_not_mix)
{
	struct clock_manual clock;
	struct shouting s[4];
	char path[300], *text, *line, *rest;
	unsigned lines = 0;
	struct diag *d;

	snprintf(path, sizeof(path), "%s/many", unit_tmpdir());
	d = diag_to(path, false, &clock);
	for (unsigned i = 0; i < 4; i++) {
		s[i] = (struct shouting){ .diag = d, .c = (char)('a' + i) };
		pthread_create(&s[i].thread, NULL, shout, &s[i]);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(s[i].thread, NULL);
	diag_free(&d);
	text = content(path);
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		const char *words = strstr(line, "[x] ");

		REQUIRE(words != NULL && strlen(words) == 4 + 199);
		CHECK_EQ(strspn(words + 4, (char[]){ words[4], '\0' }), 199);
		lines++;
	}
	CHECK_EQ(lines, 800);
	free(text);
}

/* ---- reclamation ---- */
struct item {
	unsigned alive, copy;
};

struct shelf {
	struct item *current;
	bool stop;
	unsigned freed;
};

static struct shelf *shelf;

static void
free_item(void *p)
{
	struct item *it = p;

	it->alive = it->copy = 0;	/* what a reader must never see */
	free(it);
	__atomic_fetch_add(&shelf->freed, 1, __ATOMIC_RELAXED);
}

static void *
read_items(void *arg)
{
	struct shelf *s = arg;
	bool *wrong = calloc(1, sizeof(*wrong));

	reclaim_thread_register();
	for (unsigned turn = 0; !__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE); turn++) {
		for (unsigned i = 0; i < 10; i++) {
			struct item *it = reclaim_read(&s->current);

			if (it->alive == 0 || it->alive != it->copy)
				*wrong = true;
		}
		if (turn % 7 == 0) {
			reclaim_offline();
			reclaim_online();
		} else
			reclaim_quiescent();
	}
	reclaim_thread_unregister();
	return (wrong);
}

static struct item *
item_new(unsigned n)
{
	struct item *it = malloc(sizeof(*it));

	it->alive = it->copy = n + 1;
	return (it);
}

TEST(readers_never_see_what_was_freed)
{
	struct shelf s = { .current = item_new(0) };
	pthread_t readers[3];

	shelf = &s;
	CHECK(!reclaim_thread_registered());
	for (unsigned i = 0; i < 3; i++)
		REQUIRE(pthread_create(&readers[i], NULL, read_items, &s) == 0);
	for (unsigned i = 1; i <= 2000; i++) {
		struct item *old = s.current;

		reclaim_publish(&s.current, item_new(i));
		reclaim_defer(free_item, old);
		if (i % 500 == 0) {
			reclaim_barrier();
			CHECK_EQ(__atomic_load_n(&s.freed, __ATOMIC_RELAXED), i);
		}
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 3; i++) {
		bool *wrong = NULL;

		pthread_join(readers[i], (void **)&wrong);
		CHECK(wrong != NULL && !*wrong);
		free(wrong);
	}
	free(s.current);
}

struct holder {
	struct lock lock;
	struct condition changed;
	int stage;		/* 1: reading; 2: may let go; 3: let go */
};

static void *
hold(void *arg)
{
	struct holder *h = arg;

	reclaim_thread_register();
	lock_acquire(&h->lock);
	h->stage = 1;
	condition_broadcast(&h->changed);
	while (h->stage != 2)
		condition_wait(&h->changed, &h->lock);
	lock_release(&h->lock);
	reclaim_thread_unregister();
	return (NULL);
}

static void
note_free(void *p)
{
	__atomic_store_n((bool *)p, true, __ATOMIC_RELEASE);
}

TEST(nothing_is_freed_while_a_reader_is_online)
{
	struct holder h = { .stage = 0 };
	pthread_t thread;
	bool freed = false;

	lock_init(&h.lock, LOCK_mailbox);
	condition_init(&h.changed);
	REQUIRE(pthread_create(&thread, NULL, hold, &h) == 0);
	lock_acquire(&h.lock);
	while (h.stage != 1)
		condition_wait(&h.changed, &h.lock);
	lock_release(&h.lock);
	reclaim_defer(note_free, &freed);
	for (unsigned i = 0; i < 20; i++) {	/* long enough for the reclaimer to be wrong */
		usleep(1000);
		CHECK(!__atomic_load_n(&freed, __ATOMIC_ACQUIRE));
	}
	lock_acquire(&h.lock);
	h.stage = 2;
	condition_broadcast(&h.changed);
	lock_release(&h.lock);
	pthread_join(thread, NULL);
	reclaim_barrier();
	CHECK(__atomic_load_n(&freed, __ATOMIC_ACQUIRE));
	condition_fini(&h.changed);
	lock_fini(&h.lock);
}

UNIT_MAIN("base/house", T(arena_memory_is_aligned_disjoint_and_capped), T(arena_arrays_are_zero_and_their_size_cannot_wrap),
    T(arena_text_is_copied), T(arena_cleanups_run_newest_first_and_once), T(heap_memory_of_nothing_is_something),
    T(a_broken_assertion_dies_with_a_dump), T(locks_in_rank_order_are_fine), T(developer_builds_panic_on_a_wrong_lock_order),
    T(conditions_wake_and_time_out), T(diagnostic_lines_have_one_form), T(diagnostics_move_to_a_new_file_when_reopened),
    T(a_diagnostic_that_cannot_be_written_is_counted), T(tests_can_capture_diagnostics), T(lines_of_several_threads_do_not_mix),
    T(readers_never_see_what_was_freed), T(nothing_is_freed_while_a_reader_is_online))
