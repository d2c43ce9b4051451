/* SPDX-License-Identifier: Apache-2.0
 *
 * write_batches FILE: writes batches as we make them into FILE, and what is in them (in the words of ReadBatches.java) to standard output.
 * check-java-reads has Java read the file.
 *
 * The golden uncompressed batches with every codec and some of its levels, then each validated, rebuilt and assigned as a leader does.
 */
#include <stdlib.h>

#include "record/validate.h"
#include "test/unit/record/facts.h"

static const struct { enum codec codec; int level; } ways[] = {
	{ CODEC_NONE, CODEC_LEVEL_DEFAULT }, { CODEC_GZIP, CODEC_LEVEL_DEFAULT }, { CODEC_GZIP, 1 }, { CODEC_GZIP, 9 }, { CODEC_SNAPPY, CODEC_LEVEL_DEFAULT },
	{ CODEC_LZ4, CODEC_LEVEL_DEFAULT }, { CODEC_LZ4, 1 }, { CODEC_LZ4, 17 }, { CODEC_ZSTD, CODEC_LEVEL_DEFAULT }, { CODEC_ZSTD, -5 }, { CODEC_ZSTD, 19 },
};

static bool
built(struct slice whole, const struct batch_header *h, struct codec_ctx *ctx, size_t way, FILE *f)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct errbuf eb = ERRBUF_INIT;
	struct record_header headers[16];
	struct batch_builder *b;
	struct record_iter it;
	struct record r;
	uint8_t *out = NULL;
	size_t len = 0;
	enum err e;

	o.base_offset = h->base_offset;
	o.codec = ways[way].codec;
	o.level = ways[way].level;
	o.timestamp_type = batch_timestamp_type(h);
	o.log_append_time_ms = h->max_timestamp;
	b = batch_builder_new(ctx, &o, &eb);
	e = b == NULL ? ERR_UNSUPPORTED : record_iter_init(&it, ctx, whole, h, RECORD_FULL, &eb);
	while (e == OK && (e = record_iter_next(&it, &r, &eb)) == OK) {
		struct reader rd = reader_of(r.headers);

		for (int32_t i = 0; i < r.header_count && e == OK; i++)
			e = record_header_next(&rd, &headers[i]);
		if (e == OK)
			e = batch_builder_append_at(b, r.offset, h->base_timestamp + r.timestamp_delta, r.key, r.value, headers, (size_t)r.header_count);
	}
	if (b != NULL)
		record_iter_fini(&it);
	if (e == ERR_NOTFOUND)
		e = batch_builder_finish(b, &out, &len, NULL);
	batch_builder_free(b);
	if (e == OK)
		e = fwrite(out, 1, len, f) == len ? OK : ERR_IO;
	else
		fprintf(stderr, "%s level %d: %s %s\n", codec_name(o.codec), o.level, err_name(e), eb.text);
	free(out);
	return (e == OK);
}

/* As a topic with that compression.type and LogAppendTime would store it. */
static bool
led(struct slice whole, struct codec_ctx *ctx, size_t way, int64_t offset, FILE *f)
{
	struct record_rules rules = RECORD_RULES_DEFAULT;
	struct record_request request = { .origin = RECORD_FROM_COORDINATOR, .produce_version = 11, .now_ms = 1700000005000, .topic = "t" };
	struct record_assigned a;
	struct record_failure failure;
	struct record_info info;
	struct arena arena;
	uint8_t *bytes = malloc(whole.len), *out = NULL;
	enum kerr k;

	arena_init(&arena, 1 << 20);
	memcpy(bytes, whole.p, whole.len);
	rules.compression = ways[way].codec;
	rules.level = ways[way].level;
	rules.timestamp_type = TIMESTAMP_LOG_APPEND_TIME;
	k = record_validate(whole, &rules, &request, ctx, &arena, &info, &failure);
	if (k == KERR_NONE && info.needs_rebuild)
		k = record_rebuild(whole, &rules, &request, ctx, &arena, &info, &out, &failure);
	if (k == KERR_NONE) {
		record_assign(out != NULL ? out : bytes, &info, rules.timestamp_type, offset, 7, request.now_ms, &a);
		fwrite(out != NULL ? out : bytes, 1, info.size, f);
	} else {
		fprintf(stderr, "%s\n", failure.detail);
	}
	free(bytes);
	free(out);
	arena_fini(&arena);
	return (k == KERR_NONE);
}

static bool
write_all(struct slice all, struct codec_ctx *ctx, FILE *f)
{
	struct batch_iter it = batch_iter_of(all);
	struct batch_header h;
	struct slice whole;
	bool good = true;

	while (batch_iter_next(&it, &h, &whole) == OK) {
		if (h.magic != 2 || batch_codec(&h) != CODEC_NONE || batch_has_delete_horizon(&h) || batch_is_control(&h) || h.record_count == 0)
			continue;
		for (size_t i = 0; i < NELEM(ways); i++) {
			if (!codec_built_in(ways[i].codec))
				continue;
			good &= built(whole, &h, ctx, i, f);
			if (batch_timestamp_type(&h) == TIMESTAMP_CREATE_TIME)
				good &= led(whole, ctx, i, 1000000 + (int64_t)it.position, f);
		}
	}
	return (good);
}

static bool
print_file(const char *path, struct codec_ctx *ctx)
{
	size_t room = 64 << 20;
	uint8_t *p = malloc(room);
	FILE *f = fopen(path, "rb");
	bool good = f != NULL && p != NULL && facts_print(stdout, slice_of(p, fread(p, 1, room, f)), ctx);

	if (f != NULL)
		fclose(f);
	free(p);
	return (good);
}

int
main(int argc, char **argv)
{
	struct codec_ctx *ctx = codec_ctx_new();
	struct slice all = golden_bytes("batches.bin.gz");
	FILE *f = argc == 2 ? fopen(argv[1], "wb") : NULL;
	bool good;

	if (f == NULL || all.p == NULL) {
		fprintf(stderr, "usage: write_batches FILE (the golden files must be there)\n");
		return (2);
	}
	good = write_all(all, ctx, f);
	good &= fclose(f) == 0;
	good &= print_file(argv[1], ctx);
	free((void *)(uintptr_t)all.p);
	codec_ctx_free(ctx);
	return (good ? 0 : 1);
}
