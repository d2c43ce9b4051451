/* SPDX-License-Identifier: Apache-2.0
 *
 * The small things of base/: cursors and varints, errors, clocks, random numbers, ids, checksums, metrics.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "base/kerr.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/slice.h"
#include "base/uuid.h"
#include "test/unit/unit.h"

TEST(readers_are_sticky)
{
	struct reader r = reader_of(slice_of("\0\1\2", 3));

	CHECK_EQ(rd_i16(&r), 1);
	CHECK_EQ(rd_i32(&r), 0);
	CHECK(r.bad);
	CHECK_EQ(rd_i8(&r), 0);
	CHECK_EQ(rd_left(&r), 0);
	CHECK_EQ(rd_varint(&r), 0);
	CHECK(rd_slice(&r, 1).p == NULL);
}

TEST(a_null_slice_reads_as_empty)
{
	struct reader r = reader_of(SLICE_NULL);

	CHECK_EQ(rd_slice(&r, 0).len, 0);
	CHECK(!r.bad);
	CHECK_EQ(rd_i8(&r), 0);
	CHECK(r.bad);
}

TEST(writers_measure_without_a_buffer)
{
	struct writer w = writer_of(NULL, 0);
	uint8_t buf[8];

	wr_i32(&w, 1);
	wr_uvarint(&w, 300);
	wr_bytes(&w, "abc", 3);
	CHECK_EQ(w.need, 9);
	CHECK_EQ(wr_len(&w), 0);
	w = writer_of(buf, sizeof(buf));
	wr_i32(&w, 1);
	wr_uvarint(&w, 300);
	CHECK(!w.full);
	wr_bytes(&w, "abc", 3);
	CHECK(w.full);
	CHECK_EQ(w.need, 9);
	CHECK_EQ(wr_len(&w), 6);
	wr_i8(&w, 1);	/* would fit, but what follows a hole is worthless */
	CHECK_EQ(wr_len(&w), 6);
	CHECK_MEM(buf, "\0\0\0\1\xac\2", 6);
}

TEST(fixed_fields_come_back)
{
	uint8_t buf[64];
	struct writer w = writer_of(buf, sizeof(buf));
	struct reader r;

	wr_i8(&w, -5);
	wr_i16(&w, INT16_MIN);
	wr_u16(&w, 65535);
	wr_i32(&w, INT32_MIN);
	wr_u32(&w, UINT32_MAX);
	wr_i64(&w, INT64_MIN);
	CHECK(!w.full);
	r = reader_of(slice_of(buf, wr_len(&w)));
	CHECK_EQ(rd_i8(&r), -5);
	CHECK_EQ(rd_i16(&r), INT16_MIN);
	CHECK_EQ(rd_u16(&r), 65535);
	CHECK_EQ(rd_i32(&r), INT32_MIN);
	CHECK_EQ(rd_u32(&r), UINT32_MAX);
	CHECK_EQ(rd_i64(&r), INT64_MIN);
	CHECK(!r.bad);
	CHECK_EQ(rd_left(&r), 0);
}

static void
check_varint(int32_t x)
{
	uint8_t buf[8];
	struct writer w = writer_of(buf, sizeof(buf));
	struct reader r;

	wr_varint(&w, x);
	CHECK_EQ(wr_len(&w), varint_size(x));
	r = reader_of(slice_of(buf, wr_len(&w)));
	CHECK_EQ(rd_varint(&r), x);
	CHECK(!r.bad && rd_left(&r) == 0);
	w = writer_of(buf, sizeof(buf));
	wr_uvarint(&w, (uint32_t)x);
	CHECK_EQ(wr_len(&w), uvarint_size((uint32_t)x));
	r = reader_of(slice_of(buf, wr_len(&w)));
	CHECK_EQ(rd_uvarint(&r), (uint32_t)x);
	CHECK(!r.bad && rd_left(&r) == 0);
}

static void
check_varlong(int64_t x)
{
	uint8_t buf[16];
	struct writer w = writer_of(buf, sizeof(buf));
	struct reader r;

	wr_varlong(&w, x);
	CHECK_EQ(wr_len(&w), varlong_size(x));
	r = reader_of(slice_of(buf, wr_len(&w)));
	CHECK_EQ(rd_varlong(&r), x);
	CHECK(!r.bad && rd_left(&r) == 0);
}

TEST(varints_come_back)
{
	struct random_seeded rnd;

	random_seeded_init(&rnd, unit_seed());
	check_varint(INT32_MIN);
	check_varint(INT32_MAX);
	check_varlong(INT64_MIN);
	check_varlong(INT64_MAX);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t x = random_u64(&rnd.random) >> random_below(&rnd.random, 64);

		check_varint((int32_t)x);
		check_varlong((int64_t)x);
		check_varlong(-(int64_t)x);
	}
}

TEST(varints_have_kafkas_bytes)
{
	static const struct { int32_t x; const char *bytes; size_t n; } rows[] = {
		{ 0, "\0", 1 }, { -1, "\1", 1 }, { 1, "\2", 1 }, { 63, "\x7e", 1 }, { -64, "\x7f", 1 }, { 64, "\x80\1", 2 },
		{ -65, "\x81\1", 2 }, { 8191, "\xfe\x7f", 2 }, { 8192, "\x80\x80\1", 3 },
		{ INT32_MAX, "\xfe\xff\xff\xff\xf", 5 }, { INT32_MIN, "\xff\xff\xff\xff\xf", 5 },
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		uint8_t buf[8];
		struct writer w = writer_of(buf, sizeof(buf));

		wr_varint(&w, rows[i].x);
		CHECK_EQ(wr_len(&w), rows[i].n);
		CHECK_MEM(buf, rows[i].bytes, rows[i].n);
	}
}

TEST(varints_that_do_not_fit_are_bad)
{
	static const struct { const char *bytes; size_t n; bool bad32, bad64; } rows[] = {
		{ "\xff\xff\xff\xff\xf", 5, false, false },
		{ "\xff\xff\xff\xff\x1f", 5, true, false },		/* a 33rd bit */
		{ "\x80\x80\x80\x80\x80\0", 6, true, false },		/* a sixth byte */
		{ "\x80\0", 2, false, false },				/* needlessly long, as Java takes it */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10, true, false },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\3", 10, true, true },
		{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0", 11, true, true },
		{ "\x80", 1, true, true }, { "", 0, true, true },
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct reader r32 = reader_of(slice_of(rows[i].bytes, rows[i].n)), r64 = r32;

		rd_uvarint(&r32);
		rd_uvarint64(&r64);
		CHECK_EQ(r32.bad, rows[i].bad32);
		CHECK_EQ(r64.bad, rows[i].bad64);
	}
}

/* Whatever the bytes are: no read past the end, and what was accepted writes back to a number that reads the same. */
TEST(varint_readers_survive_random_bytes)
{
	struct random_seeded rnd;

	random_seeded_init(&rnd, unit_seed() + 1);
	for (unsigned i = 0; i < 20000; i++) {
		size_t n = random_below(&rnd.random, 13);
		uint8_t *exact = malloc(n + 1);		/* + 1: malloc(0) may be NULL; ASan watches the rest */
		struct reader r;
		int64_t x;

		rnd.random.fill(&rnd.random, exact, n);
		if (i % 2 == 0)		/* long runs of continuation bits are rare in noise */
			for (size_t j = 0; j + 1 < n; j++)
				exact[j] |= 0x80;
		r = reader_of(slice_of(exact, n));
		while (!r.bad && rd_left(&r) > 0) {
			x = i % 3 == 0 ? rd_varlong(&r) : rd_varint(&r);
			if (!r.bad)
				check_varlong(x);
		}
		CHECK_EQ(rd_left(&r), 0);
		free(exact);
	}
}

TEST(slices_compare_bytewise)
{
	CHECK(slice_cmp(SLICE_LIT("a"), SLICE_LIT("b")) < 0);
	CHECK(slice_cmp(SLICE_LIT("ab"), SLICE_LIT("a")) > 0);
	CHECK(slice_cmp(SLICE_LIT("\xff"), SLICE_LIT("a")) > 0);
	CHECK_EQ(slice_cmp(SLICE_NULL, SLICE_LIT("")), 0);
	CHECK(!slice_eq(SLICE_NULL, SLICE_LIT("")));
	CHECK(slice_eq_str(SLICE_LIT("x"), "x"));
}

TEST(checksums_are_castagnolis)
{
	uint8_t zeros[32] = { 0 }, ones[32], data[1000];
	struct random_seeded rnd;

	memset(ones, 0xff, sizeof(ones));
	CHECK_EQ(crc32c("", 0), 0);
	CHECK_EQ(crc32c("123456789", 9), 0xe3069283);
	CHECK_EQ(crc32c(zeros, 32), 0x8a9136aa);	/* RFC 3720 B.4 */
	CHECK_EQ(crc32c(ones, 32), 0x62a8ab43);
	random_seeded_init(&rnd, unit_seed() + 2);
	rnd.random.fill(&rnd.random, data, sizeof(data));
	for (unsigned i = 0; i < 200; i++) {
		size_t cut = random_below(&rnd.random, sizeof(data) + 1);

		CHECK_EQ(crc32c_extend(crc32c(data, cut), data + cut, sizeof(data) - cut), crc32c(data, sizeof(data)));
	}
}

TEST(ids_come_back_as_kafka_writes_them)
{
	static const uint8_t known[16] = { 0x9d, 0x5a, 0x6c, 0xfe, 0x21, 0x3b, 0x4e, 0x75, 0x87, 0xa5, 0x9a, 0xb3, 0xf0, 0xc6, 0xfd, 0xf1 };
	struct random_seeded rnd;
	char text[UUID_TEXT_LEN + 1], hex[33];
	struct uuid u, v;

	memcpy(u.b, known, 16);
	uuid_format(u, text);
	CHECK_STR(text, "nVps_iE7TnWHpZqz8Mb98Q");
	uuid_hex(u, hex);
	CHECK_STR(hex, "9d5a6cfe213b4e7587a59ab3f0c6fdf1");
	uuid_format(UUID_ZERO, text);
	CHECK_STR(text, "AAAAAAAAAAAAAAAAAAAAAA");
	random_seeded_init(&rnd, unit_seed() + 3);
	for (unsigned i = 0; i < 5000; i++) {
		u = uuid_random(&rnd.random);
		uuid_format(u, text);
		CHECK(text[0] != '-');
		CHECK_EQ(u.b[6] >> 4, 4);
		CHECK_EQ(u.b[8] >> 6, 2);
		CHECK(uuid_parse(slice_str(text), &v) && uuid_eq(u, v));
	}
}

TEST(ids_that_are_none_are_refused)
{
	struct uuid u;

	CHECK(!uuid_parse(SLICE_NULL, &u));
	CHECK(!uuid_parse(SLICE_LIT("AAAAAAAAAAAAAAAAAAAAA"), &u));
	CHECK(!uuid_parse(SLICE_LIT("AAAAAAAAAAAAAAAAAAAAAAA"), &u));
	CHECK(!uuid_parse(SLICE_LIT("AAAAAAAAAAA+AAAAAAAAAA"), &u));
	CHECK(!uuid_parse(slice_of("AAAAAAAAAAA\0AAAAAAAAAA", 22), &u));
	CHECK(!uuid_parse(SLICE_LIT("AAAAAAAAAAA=AAAAAAAAAA"), &u));
}

/* Twenty values into four buckets of a bound: a bias or an off-by-one would show. */
TEST(random_below_stays_below_and_reaches_all)
{
	struct random_seeded rnd;
	unsigned seen[4] = { 0 };

	random_seeded_init(&rnd, unit_seed());
	for (unsigned i = 0; i < 4000; i++) {
		uint32_t x = random_below(&rnd.random, 4);

		REQUIRE(x < 4);
		seen[x]++;
	}
	for (unsigned i = 0; i < 4; i++)
		CHECK(seen[i] > 700 && seen[i] < 1300);
	CHECK_EQ(random_below(random_real(), 1), 0);
}

TEST(seeded_random_repeats_and_real_random_does_not)
{
	struct random_seeded a, b;

	random_seeded_init(&a, 7);
	random_seeded_init(&b, 7);
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(random_u64(&a.random), random_u64(&b.random));
	CHECK(random_u64(random_real()) != random_u64(random_real()));
}

TEST(manual_clock_moves_only_when_told)
{
	struct clock_manual m;
	int64_t mono;

	clock_manual_init(&m, 1700000000123);
	mono = clock_mono_ns(&m.clock);
	CHECK_EQ(clock_wall_ms(&m.clock), 1700000000123);
	CHECK_EQ(clock_mono_ns(&m.clock), mono);
	clock_manual_advance_ns(&m, 1500000);
	CHECK_EQ(clock_mono_ns(&m.clock), mono + 1500000);
	CHECK_EQ(clock_wall_ms(&m.clock), 1700000000124);
	m.wall_offset_ms -= 10000;	/* the operator sets the clock back: intervals do not notice */
	CHECK_EQ(clock_wall_ms(&m.clock), 1699999990124);
	CHECK_EQ(clock_mono_ns(&m.clock), mono + 1500000);
}

TEST(real_clock_goes_forward)
{
	int64_t a = clock_mono_ns(clock_real()), b = clock_mono_ns(clock_real());

	CHECK_GE(b, a);
	CHECK_GE(clock_wall_ms(clock_real()), 1700000000000);
}

TEST(error_context_reads_outside_in)
{
	struct errbuf eb = ERRBUF_INIT;
	char big[2000];

	errbuf_add(&eb, "first");
	CHECK_STR(eb.text, "first");
	errbuf_add(&eb, "opening %s", "t-0");
	CHECK_STR(eb.text, "opening t-0: first");
	errbuf_errno(&eb, ENOENT, "a/b: %s", "open");
	CHECK_STR(eb.text, "a/b: open: No such file or directory");
	errbuf_set(NULL, "x");
	errbuf_add(NULL, "x");
	errbuf_errno(NULL, 1, "x");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	errbuf_add(&eb, "%s", big);
	CHECK_EQ(strlen(eb.text), sizeof(eb.text) - 1);
	errbuf_add(&eb, "outer");
	CHECK_MEM(eb.text, "outer: xxx", 10);
	CHECK_EQ(strlen(eb.text), sizeof(eb.text) - 1);
}

TEST(errors_have_names_and_words)
{
	CHECK_EQ(err_from_errno(0), OK);
	CHECK_EQ(err_from_errno(ENOSPC), ERR_NOSPACE);
	CHECK_EQ(err_from_errno(EDQUOT), ERR_NOSPACE);
	CHECK_EQ(err_from_errno(EIO), ERR_IO);
	CHECK_EQ(err_from_errno(EROFS), ERR_READONLY);
	CHECK_EQ(err_from_errno(EMFILE), ERR_LIMIT);
	CHECK_EQ(err_from_errno(ECONNREFUSED), ERR_NET);
	CHECK_EQ(err_from_errno(12345), ERR_IO);
	for (int e = 0; e < ERR_COUNT_; e++)
		CHECK(err_name((enum err)e)[0] != '\0' && err_text((enum err)e)[0] != '\0');
	CHECK_STR(err_name(ERR_FENCED), "ERR_FENCED");
	CHECK(err_text((enum err)(-1)) != NULL && err_name((enum err)999) != NULL);
}

TEST(kafka_errors_have_names_and_words)
{
	unsigned known = 0;

	CHECK(kerr_text(KERR_NONE) == NULL);
	CHECK_STR(kerr_name(KERR_OFFSET_OUT_OF_RANGE), "OFFSET_OUT_OF_RANGE");
	CHECK_STR(kerr_name((enum kerr)9999), "?");
	CHECK(kerr_text((enum kerr)9999) != NULL);
	for (int k = -1; k < 200; k++) {
		if (strcmp(kerr_name((enum kerr)k), "?") == 0)
			continue;
		known++;
		CHECK(k == 0 || strlen(kerr_text((enum kerr)k)) > 10);
	}
	CHECK_EQ(known, 128);
}

TEST(metrics_count_and_take_null)
{
	static struct metrics m;

	metric_add(&m, METRIC_connections, 3);
	metric_add(&m, METRIC_connections, -1);
	CHECK_EQ(metric_get(&m, METRIC_connections), 2);
	metric_add(NULL, METRIC_connections, 1);
	CHECK_EQ(metric_get(NULL, METRIC_connections), 0);
	CHECK_STR(metric_name(METRIC_connections), "connections");
}

UNIT_MAIN("base", T(readers_are_sticky), T(a_null_slice_reads_as_empty), T(writers_measure_without_a_buffer), T(fixed_fields_come_back),
    T(varints_come_back), T(varints_have_kafkas_bytes), T(varints_that_do_not_fit_are_bad), T(varint_readers_survive_random_bytes),
    T(slices_compare_bytewise), T(checksums_are_castagnolis), T(ids_come_back_as_kafka_writes_them), T(ids_that_are_none_are_refused),
    T(random_below_stays_below_and_reaches_all), T(seeded_random_repeats_and_real_random_does_not), T(manual_clock_moves_only_when_told),
    T(real_clock_goes_forward), T(error_context_reads_outside_in), T(errors_have_names_and_words), T(kafka_errors_have_names_and_words),
    T(metrics_count_and_take_null))
