/* SPDX-License-Identifier: Apache-2.0
 *
 * Damaged batches and what Kafka's leader says to them (test/golden/record/MakeVerdicts.java): we say the same, and store the same bytes.
 *
 * One difference is ours on purpose and bounded here: a compressed batch whose records do not add up.  Java's leader does not notice (POISON: it stores
 * what it cannot read again), or notices something else first; we say INVALID_RECORD.  Two more come from libraries: a header length below 61, where
 * Java reads behind the batch, and header keys that are not UTF-8, which Java replaces when it rebuilds.
 */
#include <stdlib.h>
#include <zlib.h>

#include "record/validate.h"
#include "test/unit/record/facts.h"
#include "test/unit/unit.h"

#define NOW	INT64_C(1700000000000)
#define ANY	INT64_MAX

static const struct record_rules rules_table[] = {
	{ RECORD_COMPRESSION_PRODUCER, CODEC_LEVEL_DEFAULT, TIMESTAMP_CREATE_TIME, ANY, ANY, 1048588, 1 << 30, false },
	{ RECORD_COMPRESSION_PRODUCER, CODEC_LEVEL_DEFAULT, TIMESTAMP_LOG_APPEND_TIME, ANY, ANY, 1048588, 1 << 30, false },
	{ RECORD_COMPRESSION_PRODUCER, CODEC_LEVEL_DEFAULT, TIMESTAMP_CREATE_TIME, 1000, 500, 1048588, 1 << 30, false },
	{ RECORD_COMPRESSION_PRODUCER, CODEC_LEVEL_DEFAULT, TIMESTAMP_CREATE_TIME, 1000, 500, 1048588, 1 << 30, true },
	{ RECORD_COMPRESSION_PRODUCER, CODEC_LEVEL_DEFAULT, TIMESTAMP_CREATE_TIME, ANY, ANY, 110, 1 << 30, true },
	{ CODEC_NONE, CODEC_LEVEL_DEFAULT, TIMESTAMP_CREATE_TIME, ANY, ANY, 1048588, 1 << 30, false },
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
	if (strcmp(how, "STORED") == 0)
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

static void
check_we_judge_as_kafkas_leader_does(void)
{
	struct slice all = golden_bytes("verdicts.bin.gz");
	struct codec_ctx *ctx = codec_ctx_new();
	char path[4096], java[256];
	FILE *f = fopen(golden_path("verdicts.txt", path, sizeof(path)), "r");
	size_t position, size;
	int rules, version, cases = 0, same = 0, stricter = 0, library = 0;

	REQUIRE(all.p != NULL && f != NULL);
	while (fscanf(f, "%zu %zu %d %d %255[^\n]", &position, &size, &rules, &version, java) == 5) {
		char *ours = NULL;
		size_t len = 0;
		FILE *m = open_memstream(&ours, &len);

		REQUIRE(position + size <= all.len && rules >= 0 && (size_t)rules < NELEM(rules_table));
		verdict(m, slice_of(all.p + position, size), rules, version, ctx);
		fclose(m);
		cases++;
		if (strcmp(java, ours) != 0 && strcmp(ours, "INVALID_RECORD") == 0 && strncmp(java, "STORED", 6) != 0 && strncmp(java, "REBUILT", 7) != 0)
			stricter++;
		else if (strcmp(java, ours) != 0 && (be32dec(all.p + position + BATCH_LENGTH) < BATCH_OVERHEAD - BATCH_LOG_OVERHEAD ||
		    same_but_digest(java, ours)))
			library++;
		else if (unit_check(strcmp(java, ours) == 0, __FILE__, __LINE__, "case at %zu (%zu bytes, rules %d, version %d)\n  Java: %s\n  here: %s", position,
		    size, rules, version, java, ours))
			same++;
		free(ours);
	}
	CHECK_GE(cases, 3000);
	CHECK_EQ(same + stricter + library, cases);
	CHECK_GE(cases / 100, stricter);
	CHECK_GE(10, library);
	fclose(f);
	codec_ctx_free(ctx);
	free((void *)(uintptr_t)all.p);
}

TEST(we_judge_as_kafkas_leader_does)
{
	if (golden_codecs())
		check_we_judge_as_kafkas_leader_does();
}

UNIT_MAIN("record/verdicts", T(we_judge_as_kafkas_leader_does))
