/* SPDX-License-Identifier: Apache-2.0
 *
 * Records converted while they are sent: what is promised is kept to the byte, whatever the log holds, and little of it is in memory at once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "record/record.h"
#include "server/downconvert.h"
#include "test/unit/unit.h"

enum { PIECE = 128 << 10, VALUE = 1000 };

struct log_file {
	struct file *file;
	uint64_t     len;
	int64_t	     next;
};

static void
log_make(struct log_file *l)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/log", unit_tmpdir());
	*l = (struct log_file){ 0 };
	if (file_open(fs_real(), path, FS_RDWR | FS_CREATE | FS_TRUNC, &l->file, NULL) != OK)
		abort();
}

static void
log_add(struct log_file *l, const void *p, size_t n)
{
	if (file_pwrite(l->file, p, n, l->len, NULL) != OK)
		abort();
	l->len += n;
}

static void
log_batch(struct log_file *l, unsigned n, enum codec codec)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct errbuf eb = ERRBUF_INIT;
	uint8_t value[VALUE], *bytes = NULL;
	struct batch_builder *b;
	size_t len = 0;

	o.base_offset = l->next;
	o.codec = codec;
	b = batch_builder_new(NULL, &o, &eb);
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < VALUE; k++)
			value[k] = (uint8_t)(l->next * 7 + k * k);
		if (batch_builder_append(b, 1000 + l->next++, SLICE_NULL, slice_of(value, VALUE), NULL, 0) != OK)
			abort();
	}
	if (batch_builder_finish(b, &bytes, &len, NULL) != OK)
		abort();
	log_add(l, bytes, len);
	free(bytes);
	batch_builder_free(b);
}

static void
log_marker(struct log_file *l)
{
	struct end_txn_marker m = { .base_offset = l->next++, .producer_id = 5, .type = CONTROL_COMMIT };
	uint8_t bytes[BATCH_END_TXN_BYTES];

	batch_end_txn_encode(bytes, &m);
	log_add(l, bytes, sizeof(bytes));
}

struct answer {
	struct downconvert d;
	uint8_t *p;
	uint64_t len;
	size_t	 piece_max;
	unsigned pieces;
};

static void
begin(struct answer *a, const struct log_file *l, uint64_t len, int8_t magic, bool keep)
{
	struct codec_ctx *ctx = codec_ctx_new();
	struct errbuf eb = ERRBUF_INIT;

	*a = (struct answer){ .d = { .range = { file_ref(l->file), 0, len }, .magic = magic, .keep = keep } };
	downconvert_begin(&a->d, ctx, &eb);
	codec_ctx_free(ctx);
}

/* What would be sent. */
static void
drain(struct answer *a)
{
	a->p = malloc(a->d.len + 1);
	while (a->len < a->d.len) {
		struct slice s = a->d.source->ops->make(a->d.source, a->d.len - a->len);

		if (!CHECK(s.len > 0 && s.len <= a->d.len - a->len))
			break;
		memcpy(a->p + a->len, s.p, s.len);
		a->len += s.len;
		a->piece_max = MAX(a->piece_max, s.len);
		a->pieces++;
	}
	if (a->d.source != NULL)
		a->d.source->ops->free(a->d.source);
}

/* Whole messages of this magic with offsets from `first` on, one after another; -> how many; what follows is no whole one. */
static unsigned
messages(const struct answer *a, int8_t magic, int64_t first)
{
	struct batch_iter it = batch_iter_of(slice_of(a->p, a->len));
	struct batch_header h;
	struct slice whole;
	unsigned n = 0;
	enum err e;

	while ((e = batch_iter_next(&it, &h, &whole)) == OK && h.magic == magic && h.last_offset == first + n && batch_crc_ok(whole))
		n++;
	CHECK(e == ERR_NOTFOUND || e == ERR_AGAIN);
	return (n);
}

static void
answer_free(struct answer *a)
{
	free(a->p);
}

TEST(a_large_range_passes_in_small_pieces)
{
	struct log_file l;
	struct answer a;

	log_make(&l);
	for (int i = 0; i < 2000; i++)
		log_batch(&l, 10, CODEC_NONE);
	begin(&a, &l, l.len, 1, true);
	CHECK_EQ(a.d.error, KERR_NONE);
	CHECK_EQ(a.d.len, l.len);
	CHECK(a.d.kept > 0 && a.d.kept < 4 * 10 * VALUE);
	drain(&a);
	CHECK_EQ(a.len, l.len);
	CHECK(a.pieces > l.len / PIECE);
	CHECK(a.piece_max < PIECE + PIECE / 4);
	CHECK(messages(&a, 1, 0) > 19000);	/* the rest did not fit: messages are longer than records */
	answer_free(&a);
	CHECK_EQ(l.file->refs, 1);
	file_unref(&l.file);
}

TEST(what_was_not_kept_is_made_again)
{
	struct log_file l;
	struct answer a, b;

	log_make(&l);
	log_marker(&l);
	for (int i = 0; i < 40; i++)
		log_batch(&l, 10, CODEC_GZIP);
	begin(&a, &l, l.len, 0, true);
	begin(&b, &l, l.len, 0, false);
	CHECK_EQ(a.d.len, b.d.len);
	CHECK(a.d.kept > 0 && b.d.kept == 0);
	drain(&a);
	drain(&b);
	CHECK(a.len == b.len && memcmp(a.p, b.p, a.len) == 0);
	answer_free(&a);
	answer_free(&b);
	file_unref(&l.file);
}

/* Java sends the first data twice here. */
TEST(batches_that_vanish_do_not_double_others)
{
	struct log_file l;
	struct answer a;

	log_make(&l);
	log_marker(&l);
	log_marker(&l);
	log_batch(&l, 3, CODEC_NONE);
	log_marker(&l);
	l.next = 5;
	log_batch(&l, 2, CODEC_NONE);
	begin(&a, &l, l.len, 1, true);
	drain(&a);
	CHECK_EQ(a.len, l.len);
	CHECK_EQ(messages(&a, 1, 2), 5);
	answer_free(&a);

	begin(&a, &l, 2 * BATCH_END_TXN_BYTES, 1, true);	/* nothing stays: a beginning, so that the client asks for more */
	CHECK_EQ(a.d.error, KERR_NONE);
	CHECK_EQ(a.d.len, BATCH_LOG_OVERHEAD);
	drain(&a);
	CHECK_MEM(a.p, "\377\377\377\377\377\377\377\377\0\0\0\75", 12);
	answer_free(&a);

	for (uint64_t cut = 0; cut < BATCH_END_TXN_BYTES; cut++) {	/* not one whole batch: nothing, as in Java */
		begin(&a, &l, cut, 1, true);
		CHECK(a.d.error == KERR_NONE && a.d.len == 0 && a.d.source == NULL);
	}
	CHECK_EQ(l.file->refs, 1);
	file_unref(&l.file);
}

TEST(a_first_batch_that_grows_is_sent_whole)
{
	struct log_file l;
	struct answer a;
	uint64_t first;

	log_make(&l);
	log_batch(&l, 50, CODEC_LZ4);
	first = l.len;
	log_batch(&l, 1, CODEC_NONE);
	begin(&a, &l, first + 20, 0, false);
	drain(&a);
	CHECK(a.len >= first);
	CHECK_EQ(a.len, a.d.len);
	answer_free(&a);
	file_unref(&l.file);
}

/* What comes before is sent, then a beginning that cannot end; asked for first, it is an error. */
static void
check_stop(struct log_file *l, uint64_t good, unsigned n, enum kerr error)
{
	struct answer a;
	size_t sent = 0;
	struct batch_iter it;
	struct batch_header h;
	struct slice whole;

	begin(&a, l, l->len, 1, true);
	CHECK_EQ(a.d.error, KERR_NONE);
	CHECK_EQ(a.d.len, l->len);
	drain(&a);
	CHECK_EQ(a.len, l->len);
	CHECK_EQ(messages(&a, 1, 0), n);
	it = batch_iter_of(slice_of(a.p, a.len));
	while (batch_iter_next(&it, &h, &whole) == OK)
		sent += whole.len;
	CHECK_EQ((int64_t)be64dec(a.p + sent), -1);
	CHECK_EQ(be32dec(a.p + sent + 8), a.len - sent + 1);
	answer_free(&a);

	a = (struct answer){ .d = { .range = { file_ref(l->file), good, l->len - good }, .magic = 1 } };
	{
		struct codec_ctx *ctx = codec_ctx_new();
		struct errbuf eb = ERRBUF_INIT;

		downconvert_begin(&a.d, ctx, &eb);
		codec_ctx_free(ctx);
		CHECK_EQ(a.d.error, error);
		CHECK(eb.text[0] != '\0' && a.d.source == NULL && a.d.len == 0);
	}
	CHECK_EQ(l->file->refs, 1);
}

TEST(what_cannot_be_converted_ends_the_records_and_is_an_error_when_it_comes_first)
{
	struct log_file l;
	uint64_t good;
	uint8_t junk[61] = { 0 };

	log_make(&l);
	log_batch(&l, 2, CODEC_NONE);
	good = l.len;
	log_batch(&l, 400, CODEC_ZSTD);
	for (int i = 0; i < 40; i++)
		log_batch(&l, 10, CODEC_NONE);		/* more than one piece of filling */
	check_stop(&l, good, 2, KERR_UNSUPPORTED_COMPRESSION_TYPE);
	file_unref(&l.file);

	log_make(&l);
	log_batch(&l, 2, CODEC_NONE);
	good = l.len;
	log_add(&l, junk, sizeof(junk));
	log_batch(&l, 300, CODEC_NONE);
	check_stop(&l, good, 2, KERR_CORRUPT_MESSAGE);
	file_unref(&l.file);
}

TEST(a_file_cut_under_it_ends_the_records)
{
	struct log_file l;
	struct answer a;

	log_make(&l);
	for (int i = 0; i < 100; i++)
		log_batch(&l, 10, CODEC_NONE);
	begin(&a, &l, l.len, 1, true);
	if (l.file->fs->ops->truncate(l.file, 300000, NULL) != OK)
		abort();
	drain(&a);
	CHECK_EQ(a.len, l.len);
	CHECK_EQ(messages(&a, 1, 0) / 100, 2);
	answer_free(&a);
	file_unref(&l.file);
}

UNIT_MAIN("server/downconvert", T(a_large_range_passes_in_small_pieces), T(what_was_not_kept_is_made_again), T(batches_that_vanish_do_not_double_others),
    T(a_first_batch_that_grows_is_sent_whole), T(what_cannot_be_converted_ends_the_records_and_is_an_error_when_it_comes_first),
    T(a_file_cut_under_it_ends_the_records))
