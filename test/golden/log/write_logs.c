/* SPDX-License-Identifier: Apache-2.0
 *
 * write_logs DIRECTORY: fills a log directory with our log layer and closes it cleanly; check-java-reads shows it to Java.
 *
 *   t-0   several segments, every codec, an idempotent producer, committed, aborted and open transactions, a truncation
 *   u-0   a follower's log with gaps and epochs
 * Prints what was written: "batches N" per log.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

static struct fixture f;
static const char *target;

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "write_logs: %s failed\n", what);
	exit(1);
}

static int
fill_leader(struct log *log)
{
	int n = 0, seq = 0;

	for (int i = 0; i < 200; i++, n++) {
		clock_manual_advance_ns(&f.clock, 7000000);
		need(fixture_append(&f, log, &(struct batch_spec){ .records = 1 + (unsigned)(i % 5), .value_len = 90, .codec = (enum codec)(i % CODEC_COUNT_) }).error == KERR_NONE, "append");
	}
	for (int i = 0; i < 8; i++, n++, seq += 3)
		need(fixture_append(&f, log, &(struct batch_spec){ .records = 3, .producer_id = 11, .producer_epoch = 1, .sequence = seq }).error == KERR_NONE, "idempotent append");
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2; i++, n++)
			need(fixture_append(&f, log, &(struct batch_spec){ .records = 4, .producer_id = 12, .producer_epoch = 0, .sequence = round * 8 + i * 4,
			    .transactional = true }).error == KERR_NONE, "transactional append");
		if (round == 2)
			break;
		need(fixture_marker(&f, log, 12, 0, round == 0, 3).error == KERR_NONE, "marker");
		n++;
	}
	need(log_truncate_to(log, log_end_offset(log) - 4, NULL) == OK, "truncation");
	return (n - 1);
}

static int
fill_follower(struct log *log)
{
	for (int64_t i = 0; i < 100; i++) {
		const struct batch_spec specs[] = {
			{ .records = 3, .base_offset = i * 10 + 1, .leader_epoch = 1 + (int32_t)i / 30, .value_len = 60 },
			{ .records = 2, .base_offset = i * 10 + 6, .leader_epoch = 1 + (int32_t)i / 30, .value_len = 60, .codec = CODEC_LZ4 },
		};

		need(fixture_replicate(&f, log, specs, 2).error == KERR_NONE, "replicated append");
	}
	return (200);
}

static void
write_all(void)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *t, *u = NULL;
	struct uuid id;

	fixture_init(&f, 1);
	snprintf(f.path[0], sizeof(f.path[0]), "%s", target);
	if (fixture_open(&f, &eb) != OK) {
		fprintf(stderr, "write_logs: %s\n", eb.text);
		exit(1);
	}
	t = fixture_log(&f);
	id = uuid_random(&f.random.random);
	need(log_set_topic_id(t, id, &eb) == OK, "topic id");
	printf("t-0 batches %d\n", fill_leader(t));
	need(log_dirs_create(f.dirs, "u", 0, id, &f.options, &u, &eb) == OK, "create");
	fixture_follow(u, 7);
	printf("u-0 batches %d\n", fill_follower(u));
	log_set_high_watermark(t, log_end_offset(t));
	log_unref(&t);
	log_unref(&u);
	fixture_close(&f);
	fixture_fini(&f);
}

TEST(write_the_logs)
{
	write_all();
}

int
main(int argc, char **argv)
{
	static const struct unit_test tests[] = { T(write_the_logs) };

	if (argc != 2) {
		fprintf(stderr, "usage: write_logs DIRECTORY\n");
		return (2);
	}
	target = argv[1];
	argc = 1;
	return (unit_main("log/write_logs", tests, 1, argc, argv));
}
