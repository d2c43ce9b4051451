/* SPDX-License-Identifier: Apache-2.0
 *
 * Damaged batches, and message sets of old clients, and what Kafka's leader says to them (test/golden/record/MakeVerdicts.java, MakeLegacy.java): we
 * say the same, and store the same bytes.
 *
 * One difference is ours on purpose and bounded here: a compressed batch whose records do not add up.  Java's leader does not notice (POISON: it stores
 * what it cannot read again), or notices something else first; we say INVALID_RECORD.  Two more come from libraries: a header length below 61, where
 * Java reads behind the batch, and header keys that are not UTF-8, which Java replaces when it rebuilds.
 */
#include <stdlib.h>
#include <zlib.h>

#include "base/must.h"
#include "record/validate.h"
#include "test/unit/record/facts.h"
#include "test/unit/unit.h"

#define NOW	INT64_C(1700000000000)
#define ANY	INT64_MAX

/* Level 0 where the topic's settings name no codec with levels, as src/config gives it. */
static const struct record_rules rules_table[] = {
	{ RECORD_COMPRESSION_PRODUCER, 0, TIMESTAMP_CREATE_TIME, ANY, ANY, 1048588, 1 << 30, false },
	{ RECORD_COMPRESSION_PRODUCER, 0, TIMESTAMP_LOG_APPEND_TIME, ANY, ANY, 1048588, 1 << 30, false },
	{ RECORD_COMPRESSION_PRODUCER, 0, TIMESTAMP_CREATE_TIME, 1000, 500, 1048588, 1 << 30, false },
	{ RECORD_COMPRESSION_PRODUCER, 0, TIMESTAMP_CREATE_TIME, 1000, 500, 1048588, 1 << 30, true },
	{ RECORD_COMPRESSION_PRODUCER, 0, TIMESTAMP_CREATE_TIME, ANY, ANY, 110, 1 << 30, true },
	{ CODEC_NONE, 0, TIMESTAMP_CREATE_TIME, ANY, ANY, 1048588, 1 << 30, false },
	{ CODEC_GZIP, CODEC_LEVEL_DEFAULT, TIMESTAMP_LOG_APPEND_TIME, ANY, ANY, 1048588, 1 << 30, false },
	{ CODEC_LZ4, CODEC_LEVEL_DEFAULT, TIMESTAMP_CREATE_TIME, 1000, 500, 1048588, 1 << 30, true },
};

static void
print_stored(FILE *f, const char *how, const uint8_t *bytes, struct record_info *info, struct codec_ctx *ctx)
{
	struct slice whole = slice_of(bytes, info->size);
	struct batch_header h;
	uint32_t digest = 0;

	if (batch_header_decode(whole, &h) != OK || !batch_crc_ok(whole) || !facts_digest(whole, &h, ctx, &digest)) {
		fprintf(f, "UNREADABLE");
		return;
	}
	fprintf(f, "%s", how);
	if (strcmp(how, "STORED") == 0 || batch_codec(&h) == CODEC_NONE)
		fprintf(f, " bytes=%08x", (unsigned)crc32(0, bytes, info->size));
	fprintf(f, " maxts=%" PRId64 " last=%" PRId64 " digest=%08x", h.max_timestamp, h.last_offset, digest);
}

static void
print_failure(FILE *f, const struct record_failure *x)
{
	fprintf(f, "%s", kerr_name(x->code));
	if (x->n_errors > 0)
		fprintf(f, " errors=");
	for (size_t i = 0; i < x->n_errors; i++)
		fprintf(f, "%d,", (int)x->errors[i].index);
}

static void
verdict(FILE *f, struct slice bytes, int rules_index, int version, struct codec_ctx *ctx)
{
	const struct record_rules *rules = &rules_table[rules_index];
	struct record_request request = { .produce_version = (int16_t)version, .now_ms = NOW, .topic = "t" };
	struct record_failure failure;
	struct record_assigned a;
	struct record_info info;
	struct arena arena;
	uint8_t *copy = malloc(bytes.len + 1), *out = NULL;
	const char *how = "STORED";
	enum kerr k;

	memcpy(copy, bytes.p, bytes.len);
	arena_init(&arena, 1 << 20);
	k = record_validate(slice_of(copy, bytes.len), rules, &request, ctx, &arena, &info, &failure);
	if (k == KERR_NONE && info.needs_rebuild) {
		how = "REBUILT";
		k = record_rebuild(slice_of(copy, bytes.len), rules, &request, ctx, &arena, &info, &out, &failure);
	}
	if (k != KERR_NONE) {
		print_failure(f, &failure);
	} else if (info.size == 0) {
		fprintf(f, "NOTHING");
	} else {
		record_assign(out != NULL ? out : copy, &info, rules->timestamp_type, 1000, 7, NOW, &a);
		print_stored(f, how, out != NULL ? out : copy, &info, ctx);
	}
	arena_fini(&arena);
	free(copy);
	free(out);
}

static bool
same_but_digest(const char *a, const char *b)
{
	const char *d = strstr(a, " digest=");

	return (d != NULL && strncmp(a, b, (size_t)(d - a)) == 0);
}

struct judged {
	int cases, same, stricter, library;
};

/* The differences that the head of this file names. */
static bool
known_difference(const char *java, const char *ours, struct slice bytes, struct judged *j)
{
	if (strcmp(ours, "INVALID_RECORD") == 0 && strncmp(java, "STORED", 6) != 0 && strncmp(java, "REBUILT", 7) != 0)
		j->stricter++;
	else if (same_but_digest(java, ours) || (bytes.len >= BATCH_LOG_OVERHEAD &&
	    be32dec(bytes.p + BATCH_LENGTH) < BATCH_OVERHEAD - BATCH_LOG_OVERHEAD))
		j->library++;
	else
		return (false);
	return (true);
}

/* A magic 1 message shorter than any; or Java, which makes room for the length an inner message claims. */
static bool
known_difference_old(const char *java, const char *ours, struct slice bytes, struct judged *j)
{
	struct batch_iter it = batch_iter_of(bytes);
	struct batch_header h;
	struct slice whole;
	enum err e;

	while ((e = batch_iter_next(&it, &h, &whole)) == OK)
		;
	if (strcmp(java, "MEMORY") == 0 && strcmp(ours, "STORED") != 0)
		j->library++;
	else if (e == ERR_CORRUPT && strcmp(ours, "CORRUPT_MESSAGE") == 0 && it.left.len > BATCH_MAGIC && it.left.p[BATCH_MAGIC] == 1)
		j->stricter++;
	else
		return (false);
	return (true);
}

static struct judged
judge(const char *bytes_name, const char *words_name, bool (*known)(const char *, const char *, struct slice, struct judged *))
{
	struct slice all = golden_bytes(bytes_name), one;
	struct codec_ctx *ctx = codec_ctx_new();
	char path[4096], java[256];
	FILE *f = fopen(golden_path(words_name, path, sizeof(path)), "r");
	struct judged j = { 0 };
	size_t position, size;
	int rules, version;

	must(all.p != NULL && f != NULL);
	while (fscanf(f, "%zu %zu %d %d %255[^\n]", &position, &size, &rules, &version, java) == 5) {
		char *ours = NULL;
		size_t len = 0;
		FILE *m = open_memstream(&ours, &len);

		must(position + size <= all.len && rules >= 0 && (size_t)rules < NELEM(rules_table));
		one = slice_of(all.p + position, size);
		verdict(m, one, rules, version, ctx);
		fclose(m);
		j.cases++;
		if (strcmp(java, ours) == 0)
			j.same++;
		else if (!known(java, ours, one, &j))
			unit_check(false, __FILE__, __LINE__, "%s at %zu (%zu bytes, rules %d, version %d)\n  Java: %s\n  here: %s", words_name, position,
			    size, rules, version, java, ours);
		free(ours);
	}
	CHECK_EQ(j.same + j.stricter + j.library, j.cases);
	fclose(f);
	codec_ctx_free(ctx);
	free((void *)(uintptr_t)all.p);
	return (j);
}

TEST(we_judge_as_kafkas_leader_does)
{
	struct judged j;

	if (!golden_codecs())
		return;
	j = judge("verdicts.bin.gz", "verdicts.txt", known_difference);
	CHECK_GE(j.cases, 3000);
	CHECK_GE(j.cases / 100, j.stricter);
	CHECK_GE(10, j.library);
}

TEST(old_clients_messages_are_judged_and_converted_as_kafkas_leader_does)
{
	struct judged j;

	if (!golden_codecs())
		return;
	j = judge("legacy.bin.gz", "legacy.txt", known_difference_old);
	CHECK_GE(j.cases, 4000);
	CHECK_GE(j.cases / 200, j.stricter);
	CHECK_GE(10, j.library);
}

UNIT_MAIN("record/verdicts", T(we_judge_as_kafkas_leader_does), T(old_clients_messages_are_judged_and_converted_as_kafkas_leader_does))
