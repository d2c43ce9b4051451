/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <zlib.h>

#include "test/unit/record/facts.h"
#include "test/unit/unit.h"

static uint32_t
crc_i64(uint32_t crc, int64_t v)
{
	uint8_t b[8];

	be64enc(b, (uint64_t)v);
	return ((uint32_t)crc32(crc, b, 8));
}

static uint32_t
crc_i32(uint32_t crc, int32_t v)
{
	uint8_t b[4];

	be32enc(b, (uint32_t)v);
	return ((uint32_t)crc32(crc, b, 4));
}

static uint32_t
crc_field(uint32_t crc, struct slice s)
{
	crc = crc_i32(crc, s.p == NULL ? -1 : (int32_t)s.len);
	return (s.len == 0 ? crc : (uint32_t)crc32(crc, s.p, (unsigned)s.len));
}

static uint32_t
digest(uint32_t crc, const struct record *r)
{
	struct reader rd = reader_of(r->headers);
	struct record_header h;

	crc = crc_i64(crc, r->offset);
	crc = crc_i64(crc, r->timestamp);
	crc = crc_field(crc, r->key);
	crc = crc_field(crc, r->value);
	crc = crc_i32(crc, r->header_count);
	for (int32_t i = 0; i < r->header_count && record_header_next(&rd, &h) == OK; i++) {
		crc = crc_field(crc, h.key);
		crc = crc_field(crc, h.value);
	}
	return (crc);
}

static void
print_record(FILE *f, const struct record *r)
{
	fprintf(f, "  record offset=%" PRId64 " ts=%" PRId64 " key=%d value=%d headers=%d\n", r->offset, r->timestamp,
	    r->key.p == NULL ? -1 : (int)r->key.len, r->value.p == NULL ? -1 : (int)r->value.len, (int)r->header_count);
}

static void
print_control(FILE *f, struct slice whole)
{
	struct errbuf eb = ERRBUF_INIT;
	struct control_record c;

	if (batch_control_decode(whole, &c, &eb) != OK)
		fprintf(f, "  control batch unreadable: %s\n", eb.text);
	else
		fprintf(f, "  control %s epoch=%d\n", c.type == CONTROL_COMMIT ? "COMMIT" : c.type == CONTROL_ABORT ? "ABORT" : "?", (int)c.coordinator_epoch);
}

static const char *
yes(bool b)
{
	return (b ? "true" : "false");
}

static void
print_header(FILE *f, uint64_t position, struct slice whole, const struct batch_header *h, int64_t base, int n, uint32_t crc)
{
	bool v2 = h->magic == 2;

	fprintf(f, "batch position=%" PRIu64 " size=%u magic=%d base=%" PRId64 " last=%" PRId64 " epoch=%d crc=%08x valid=%s codec=%s type=%s basets=%" PRId64
	    " maxts=%" PRId64, position, h->size, h->magic, base, h->last_offset, (int)h->leader_epoch, h->crc, yes(batch_crc_ok(whole)), codec_name(batch_codec(h)),
	    h->magic == 0 ? "-" : batch_timestamp_type(h) == TIMESTAMP_CREATE_TIME ? "CreateTime" : "LogAppendTime", v2 ? h->base_timestamp : -1, h->max_timestamp);
	fprintf(f, " pid=%" PRId64 " pepoch=%d seq=%d lastseq=%d txn=%s control=%s horizon=%" PRId64 " count=%d records=%d digest=%08x\n",
	    h->producer_id, h->producer_epoch, (int)h->base_sequence, (int)batch_last_sequence(h), yes(batch_is_transactional(h)), yes(batch_is_control(h)),
	    batch_delete_horizon_ms(h), v2 ? (int)h->record_count : -1, n, crc);
}

static bool
print_batch(FILE *out, uint64_t position, struct slice whole, const struct batch_header *h, struct codec_ctx *ctx)
{
	struct errbuf eb = ERRBUF_INIT;
	struct record_iter it;
	struct record r;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int64_t base = h->base_offset;
	uint32_t crc = 0;
	int n = 0;
	enum err e = record_iter_init(&it, ctx, whole, h, RECORD_FULL, &eb);

	while (e == OK && (e = record_iter_next(&it, &r, &eb)) == OK) {
		crc = digest(crc, &r);
		if (n == 0 && base < 0)
			base = r.offset;
		if (n++ < 2)
			print_record(f, &r);
		if (batch_is_control(h))
			print_control(f, whole);
	}
	record_iter_fini(&it);
	fclose(f);
	print_header(out, position, whole, h, base, n, crc);
	fputs(text, out);
	free(text);
	if (e != ERR_NOTFOUND)
		fprintf(out, "  unreadable: %s: %s\n", err_name(e), eb.text);
	return (e == ERR_NOTFOUND);
}

bool
facts_digest(struct slice whole, const struct batch_header *h, struct codec_ctx *ctx, uint32_t *crc)
{
	struct errbuf eb = ERRBUF_INIT;
	struct record_iter it;
	struct record r;
	enum err e = record_iter_init(&it, ctx, whole, h, RECORD_FULL, &eb);

	*crc = 0;
	while (e == OK && (e = record_iter_next(&it, &r, &eb)) == OK)
		*crc = digest(*crc, &r);
	record_iter_fini(&it);
	return (e == ERR_NOTFOUND);
}

bool
facts_print(FILE *f, struct slice all, struct codec_ctx *ctx)
{
	struct batch_iter it = batch_iter_of(all);
	struct batch_header h;
	struct slice whole;
	uint64_t position = 0;
	bool good = true;
	enum err e;

	while ((e = batch_iter_next(&it, &h, &whole)) == OK) {
		good &= print_batch(f, position, whole, &h, ctx);
		position = it.position;
	}
	if (e != ERR_NOTFOUND)
		fprintf(f, "at %" PRIu64 ": %s\n", position, err_name(e));
	return (good && e == ERR_NOTFOUND);
}

char *
golden_path(const char *name, char *buf, size_t len)
{
	snprintf(buf, len, "%s/test/golden/record/%s", unit_srcdir(), name);
	return (buf);
}

struct slice
golden_bytes(const char *name)
{
	char path[4096];
	gzFile z = gzopen(golden_path(name, path, sizeof(path)), "rb");
	size_t room = 8 << 20, len = 0;
	uint8_t *p = malloc(room);
	int n;

	if (z == NULL || p == NULL)
		return (SLICE_NULL);
	while ((n = gzread(z, p + len, (unsigned)(room - len))) > 0)
		len += (size_t)n;
	gzclose(z);
	return (slice_of(p, len));
}

struct slice
golden_group(struct slice all, const char *name)
{
	char path[4096], word[128];
	FILE *f = fopen(golden_path("batches.names", path, sizeof(path)), "r");
	struct slice found = SLICE_NULL;
	size_t position, size;

	while (f != NULL && fscanf(f, "%127s %zu %zu", word, &position, &size) == 3) {
		if (strcmp(word, name) == 0 && position + size <= all.len)
			found = slice_of(all.p + position, size);
	}
	if (f != NULL)
		fclose(f);
	return (found);
}

bool
golden_codecs(void)
{
	if (codec_built_in(CODEC_LZ4) && codec_built_in(CODEC_ZSTD))
		return (true);
	printf("SKIPPED: built without lz4 or zstd\n");
	return (false);
}
