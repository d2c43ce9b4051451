/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of __consumer_offsets against those that Kafka's own classes wrote (test/golden/group): every version is read, the written ones come
 * out byte for byte, and whatever is cut or flipped is an error or another record, never a crash.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "group/records.h"
#include "test/unit/unit.h"

enum { WORDS_MAX = 64, BYTES_MAX = 4096 };

struct line {
	char		*words[WORDS_MAX];
	unsigned	 n, at;
	struct slice	 bytes;		/* the last word */
	struct arena	 arena;
};

static struct slice
unhex(struct arena *a, const char *s)
{
	size_t n = strlen(s) / 2;
	uint8_t *p;

	if (strcmp(s, "-") == 0)
		return (SLICE_NULL);
	if (strcmp(s, "_") == 0)
		return (SLICE_LIT(""));
	p = arena_alloc(a, n);
	for (size_t i = 0; i < n; i++) {
		char two[3] = { s[2 * i], s[2 * i + 1], '\0' };

		p[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	return (slice_of(p, n));
}

static const char *
word(struct line *l)
{
	return (l->at < l->n ? l->words[l->at++] : "");
}

static struct slice
text(struct line *l)
{
	return (unhex(&l->arena, word(l)));
}

static int64_t
number(struct line *l)
{
	return (strtoll(word(l), NULL, 10));
}

static bool
line_next(FILE *f, char **buf, size_t *size, struct line *l)
{
	char *rest, *w;

	if (getline(buf, size, f) <= 0)
		return (false);
	memset(l, 0, sizeof(*l));
	arena_init(&l->arena, 1 << 20);
	rest = *buf;
	rest[strcspn(rest, "\n")] = '\0';
	while ((w = strsep(&rest, " ")) != NULL && l->n < WORDS_MAX)
		l->words[l->n++] = w;
	l->bytes = unhex(&l->arena, l->words[--l->n]);
	return (true);
}

static void
check_written(const struct line *l, const struct writer *w)
{
	CHECK(!w->full);
	CHECK_EQ(wr_len(w), l->bytes.len);
	CHECK_EQ(w->need, l->bytes.len);
	if (wr_len(w) == l->bytes.len)
		CHECK_MEM(w->base, l->bytes.p, l->bytes.len);
}

static void
check_key(struct line *l, int version, bool of_offset)
{
	uint8_t buf[BYTES_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	struct group_key k;

	CHECK_EQ(group_key_decode(l->bytes, &k), OK);
	CHECK_EQ(k.kind, of_offset ? GROUP_KEY_OFFSET : GROUP_KEY_GROUP);
	CHECK(slice_eq(k.group, text(l)));
	if (of_offset) {
		CHECK(slice_eq(k.topic, text(l)));
		CHECK_EQ(k.partition, number(l));
	}
	group_key_encode(&w, &k);
	if (version > 0)
		check_written(l, &w);
}

static void
check_offset(struct line *l, int version)
{
	uint8_t buf[BYTES_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	struct offset_value v;

	CHECK_EQ(offset_value_decode(l->bytes, &v), OK);
	CHECK_EQ(v.offset, number(l));
	CHECK_EQ(v.leader_epoch, number(l));
	CHECK(slice_eq(v.metadata, text(l)));
	CHECK_EQ(v.commit_timestamp_ms, number(l));
	CHECK_EQ(v.expire_timestamp_ms, number(l));
	offset_value_encode(&w, &v);
	if (version == 1 || version == 3)
		check_written(l, &w);
}

static void
check_group(struct line *l, int version)
{
	uint8_t buf[BYTES_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	struct group_record g;

	CHECK_EQ(group_value_decode(l->bytes, &l->arena, &g), OK);
	CHECK(slice_eq(g.protocol_type, text(l)));
	CHECK_EQ(g.generation, number(l));
	CHECK(slice_eq(g.protocol, text(l)));
	CHECK(slice_eq(g.leader, text(l)));
	CHECK_EQ(g.state_timestamp_ms, number(l));
	CHECK_EQ(g.nmembers, number(l));
	for (uint32_t i = 0; i < g.nmembers; i++) {
		const struct group_record_member *m = &g.members[i];

		CHECK(slice_eq(m->member_id, text(l)));
		CHECK(slice_eq(m->instance_id, text(l)));
		CHECK(slice_eq(m->client_id, text(l)));
		CHECK(slice_eq(m->client_host, text(l)));
		CHECK_EQ(m->rebalance_timeout_ms, number(l));
		CHECK_EQ(m->session_timeout_ms, number(l));
		CHECK(slice_eq(m->subscription, text(l)));
		CHECK(slice_eq(m->assignment, text(l)));
	}
	group_value_encode(&w, &g);
	if (version == 3)
		check_written(l, &w);
}

static FILE *
golden(void)
{
	char *path = xasprintf("%s/test/golden/group/records.txt", unit_srcdir());
	FILE *f = fopen(path, "re"); /* lint-allow: the test's own golden file */

	unit_check(f != NULL, __FILE__, __LINE__, "%s opens", path);
	free(path);
	return (f);
}

TEST(every_version_that_kafka_wrote_is_read_and_what_we_write_is_the_same_bytes)
{
	FILE *f = golden();
	char *buf = NULL;
	size_t size = 0;
	unsigned lines = 0, at;
	struct line l;

	REQUIRE(f != NULL);
	for (; line_next(f, &buf, &size, &l); lines++) {
		const char *kind = word(&l);
		int version = (int)number(&l);

		if (strcmp(kind, "offset") == 0)
			check_offset(&l, version);
		else if (strcmp(kind, "group") == 0)
			check_group(&l, version);
		else
			check_key(&l, version, strcmp(kind, "offset-key") == 0);
		at = l.at;
		unit_check(at == l.n, __FILE__, __LINE__, "line %u: %u of %u words compared", lines + 1, at, l.n);
		arena_fini(&l.arena);
	}
	CHECK_EQ(lines, 96);
	free(buf);
	(void)fclose(f);
}

static void
read_all(struct slice s)
{
	struct arena a;
	struct group_key k;
	struct offset_value v;
	struct group_record g;
	uint8_t buf[2 * BYTES_MAX];
	struct writer w;

	arena_init(&a, 1 << 20);
	w = writer_of(buf, sizeof(buf));
	if (group_key_decode(s, &k) == OK)
		group_key_encode(&w, &k);
	if (offset_value_decode(s, &v) == OK)
		offset_value_encode(&w, &v);
	if (group_value_decode(s, &a, &g) == OK)
		group_value_encode(&w, &g);
	arena_fini(&a);
}

TEST(damaged_records_are_errors_or_other_records)
{
	FILE *f = golden();
	char *buf = NULL;
	size_t size = 0;
	struct line l;

	REQUIRE(f != NULL);
	while (line_next(f, &buf, &size, &l)) {
		uint8_t *copy = xmalloc(l.bytes.len);

		for (size_t cut = 0; cut < l.bytes.len; cut++) {
			struct group_record g;
			struct offset_value v;
			struct group_key k;
			struct slice s = slice_of(l.bytes.p, cut);

			if (strcmp(l.words[0], "offset") == 0)
				CHECK(offset_value_decode(s, &v) == ERR_MALFORMED);
			else if (strcmp(l.words[0], "group") == 0)
				CHECK(group_value_decode(s, &l.arena, &g) == ERR_MALFORMED);
			else
				CHECK(group_key_decode(s, &k) == ERR_MALFORMED);
		}
		for (size_t i = 0; i < l.bytes.len; i++)
			for (int bit = 0; bit < 8; bit++) {
				memcpy(copy, l.bytes.p, l.bytes.len);
				copy[i] ^= (uint8_t)(1 << bit);
				read_all(slice_of(copy, l.bytes.len));
			}
		free(copy);
		arena_fini(&l.arena);
	}
	free(buf);
	(void)fclose(f);
}

TEST(a_hostile_count_of_members_is_refused_before_memory_is_taken)
{
	static const uint8_t many[] = { 0, 3, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff };
	static const uint8_t later[] = { 0, 5, 0, 0 }, later_key[] = { 0, 3, 0, 0 }, negative[] = { 0xff, 0xff, 0, 0 };
	struct group_record g;
	struct offset_value v;
	struct group_key k;
	struct arena a;

	arena_init(&a, 1 << 16);
	CHECK_EQ(group_value_decode(slice_of(many, sizeof(many)), &a, &g), ERR_MALFORMED);
	CHECK_EQ(a.used, 0);
	CHECK_EQ(group_value_decode(slice_of(later, sizeof(later)), &a, &g), ERR_UNSUPPORTED);
	CHECK_EQ(offset_value_decode(slice_of(later, sizeof(later)), &v), ERR_UNSUPPORTED);
	CHECK_EQ(group_key_decode(slice_of(later_key, sizeof(later_key)), &k), ERR_UNSUPPORTED);
	CHECK_EQ(group_key_decode(slice_of(negative, sizeof(negative)), &k), ERR_MALFORMED);
	arena_fini(&a);
}

UNIT_MAIN("group/records", T(every_version_that_kafka_wrote_is_read_and_what_we_write_is_the_same_bytes), T(damaged_records_are_errors_or_other_records),
    T(a_hostile_count_of_members_is_refused_before_memory_is_taken))
