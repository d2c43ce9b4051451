/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz_files.c - the small files of a log directory and of a log, one at a time.
 *
 * INPUT   u8 which | the file
 * HOLDS   a file is read, or refused in words; what was read, written by us, is read again as the same.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/crc32c.h"
#include "log/checkpoint.h"
#include "log/epoch_cache.h"
#include "log/inspect.h"
#include "log/producer_state.h"
#include "test/fuzz/fs_mem.h"
#include "test/fuzz/fuzz.h"

#define NOW		INT64_C(1700000000000)
#define DIR_		"/d"
#define OTHER		"/e"

static void
refused(enum err e, const struct errbuf *eb)
{
	FUZZ_CHECKF(e == OK || eb->text[0] != '\0', "refused without words");
	FUZZ_CHECKF(e == OK || e == ERR_CORRUPT || e == ERR_LIMIT || e == ERR_UNSUPPORTED || e == ERR_MALFORMED, "%s: %s", err_name(e), eb->text);
}

/* ---- text ---- */

static void
checkpoint(struct fs *fs, struct slice in)
{
	struct checkpoint a = CHECKPOINT_INIT, b = CHECKPOINT_INIT;
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	fs_mem_put(fs, DIR_ "/c", in);
	e = checkpoint_read(fs, DIR_ "/c", &a, &eb);
	refused(e, &eb);
	if (e == OK) {
		FUZZ_CHECK(checkpoint_write(fs, DIR_ "/d", &a, &eb) == OK);
		FUZZ_CHECKF(checkpoint_read(fs, DIR_ "/d", &b, &eb) == OK && a.n == b.n, "what we write is read: %s", eb.text);
		for (uint32_t i = 0; i < a.n; i++) {
			FUZZ_CHECK(strcmp(a.entries[i].topic, b.entries[i].topic) == 0 && a.entries[i].partition == b.entries[i].partition);
			FUZZ_CHECK(checkpoint_find(&b, a.entries[i].topic, a.entries[i].partition) != NULL);
		}
	}
	checkpoint_fini(&a);
	checkpoint_fini(&b);
}

static void
epochs(struct fs *fs, struct slice in)
{
	struct epoch_cache a = EPOCH_CACHE_INIT, b = EPOCH_CACHE_INIT;
	struct errbuf eb = ERRBUF_INIT;
	int64_t end;
	int32_t epoch;
	enum err e;

	fs_mem_put(fs, DIR_ "/leader-epoch-checkpoint", in);
	e = epoch_cache_read(fs, DIR_, &a, &eb);
	refused(e, &eb);
	if (e == OK) {
		for (uint32_t i = 1; i < a.n; i++)
			FUZZ_CHECK(a.entries[i].epoch > a.entries[i - 1].epoch && a.entries[i].start_offset > a.entries[i - 1].start_offset);
		FUZZ_CHECK(epoch_cache_write(fs, OTHER, &a, &eb) == OK);
		FUZZ_CHECKF(epoch_cache_read(fs, OTHER, &b, &eb) == OK && a.n == b.n, "what we write is read: %s", eb.text);
		for (uint32_t i = 0; i < a.n; i++)
			FUZZ_CHECK(a.entries[i].epoch == b.entries[i].epoch && a.entries[i].start_offset == b.entries[i].start_offset);
		epoch_cache_end_of(&a, epoch_cache_latest(&a), INT64_MAX, &epoch, &end);
		(void)epoch_cache_of_offset(&a, 5);
		(void)epoch_cache_truncate_from_start(&a, 3);
		(void)epoch_cache_truncate_from_end(&a, 7);
		(void)epoch_cache_assign(&a, 4, 5);
	}
	epoch_cache_fini(&a);
	epoch_cache_fini(&b);
}

static void
metadata(struct fs *fs, struct slice in)
{
	struct errbuf eb = ERRBUF_INIT;
	struct uuid a, b;
	enum err e;

	fs_mem_put(fs, DIR_ "/partition.metadata", in);
	e = partition_metadata_read(fs, DIR_, &a, &eb);
	refused(e, &eb);
	if (e != OK)
		return;
	FUZZ_CHECK(partition_metadata_write(fs, OTHER, a, &eb) == OK && partition_metadata_read(fs, OTHER, &b, &eb) == OK);
	FUZZ_CHECK(memcmp(&a, &b, sizeof(a)) == 0);
}

static void
meta(struct fs *fs, struct slice in)
{
	struct meta_properties a = { 0 }, b = { 0 };
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	fs_mem_put(fs, DIR_ "/meta.properties", in);
	e = meta_properties_read(fs, DIR_, &a, &eb);
	refused(e, &eb);
	if (e == OK) {
		a.version = 0;
		a.broker_id = MAX(a.broker_id, 0);	/* written when it is known only */
		FUZZ_CHECK(meta_properties_write(fs, OTHER, &a, NOW, &eb) == OK);
		FUZZ_CHECKF(meta_properties_read(fs, OTHER, &b, &eb) == OK, "what we write is read: %s", eb.text);
		FUZZ_CHECKF(a.version == b.version && a.broker_id == b.broker_id && strcmp(a.cluster_id, b.cluster_id) == 0, "%s, and then %s", a.cluster_id,
		    b.cluster_id);
		FUZZ_CHECKF((a.others == NULL) == (b.others == NULL) && (a.others == NULL || strcmp(a.others, b.others) == 0), "others: %s, and then %s",
		    a.others, b.others);
	}
	meta_properties_fini(&a);
	meta_properties_fini(&b);
}

/* ---- bytes ---- */

static void
see_producer(void *ctx, const struct producer_entry *p)
{
	FUZZ_CHECK(p->nbatches <= PRODUCER_BATCHES_MAX);
	(*(unsigned *)ctx)++;
}

static void
snapshot(struct slice in)
{
	struct producer_state *a = producer_state_new(86400000), *b = producer_state_new(86400000);
	uint8_t *bytes, *again, *mended = xmalloc(in.len + 1);
	struct errbuf eb = ERRBUF_INIT;
	unsigned seen = 0;
	size_t len, len2;
	enum err e;

	if (in.len > 0)
		memcpy(mended, in.p, in.len);
	if (in.len >= 6)
		be32enc(mended + 2, crc32c(mended + 6, in.len - 6));	/* a flipped bit is found by the sum: what is behind it is looked at */
	e = producer_state_decode(a, mended, in.len, 1000, NOW, &eb);
	refused(e, &eb);
	if (e == OK) {
		producer_state_each(a, see_producer, &seen);
		FUZZ_CHECK(seen == producer_state_count(a));
		(void)producer_state_first_unstable(a);
		producer_state_encode(a, &bytes, &len);
		FUZZ_CHECKF(producer_state_decode(b, bytes, len, 1000, NOW, &eb) == OK, "what we write is read: %s", eb.text);
		producer_state_encode(b, &again, &len2);
		FUZZ_CHECK(len == len2 && memcmp(bytes, again, len) == 0);
		producer_state_expire(a, NOW + 1);
		producer_state_start_offset(a, 500);
		free(bytes);
		free(again);
	}
	free(mended);
	producer_state_free(&a);
	producer_state_free(&b);
}

static void
indexes(struct fs *fs, struct slice in, const char *suffix)
{
	char *path = log_file_path(DIR_, 100, suffix);
	struct log_index_rows rows = { 0 };
	struct errbuf eb = ERRBUF_INIT;
	int64_t base = -1;
	enum log_file_kind kind = log_file_kind(path, &base);
	enum err e;

	FUZZ_CHECK(base == 100);
	fs_mem_put(fs, path, in);
	e = log_index_read(fs, path, kind, base, &rows, &eb);
	refused(e, &eb);
	if (e == OK)
		FUZZ_CHECK(rows.tail_bytes <= in.len && (uint64_t)rows.n * 8 <= in.len);
	log_index_rows_fini(&rows);
	free(path);
}

static void
names(struct slice in)
{
	char *text = fuzz_text(in);
	int64_t base;

	(void)log_file_kind(text, &base);
	free(text);
}

enum { CHECKPOINT, EPOCHS, METADATA, META, SNAPSHOT, INDEX, TIME, TXN, NAMES, KINDS };

void
fuzz_one(struct slice in)
{
	struct fs *fs = fs_mem_new();

	fs_mem_put(fs, OTHER "/there", SLICE_LIT(""));
	switch (fuzz_u8(&in) % KINDS) {
	case CHECKPOINT: checkpoint(fs, in); break;
	case EPOCHS: epochs(fs, in); break;
	case METADATA: metadata(fs, in); break;
	case META: meta(fs, in); break;
	case SNAPSHOT: snapshot(in); break;
	case INDEX: indexes(fs, in, ".index"); break;
	case TIME: indexes(fs, in, ".timeindex"); break;
	case TXN: indexes(fs, in, ".txnindex"); break;
	default: names(in); break;
	}
	FUZZ_CHECK(fs_mem_free(&fs) == 0);
}

/* ---- seeds ---- */

static void
seed(uint8_t which, struct slice s, fuzz_give *give, void *ctx)
{
	fuzz_give2(give, ctx, &which, 1, s);
}

static void
seed_snapshot(fuzz_give *give, void *ctx)
{
	struct producer_state *s = producer_state_new(86400000);
	struct completed_txn done;
	uint8_t *bytes;
	size_t len;

	for (int i = 0; i < 3; i++) {
		const struct producer_batch_facts f = { .base_offset = 10 + i, .last_offset = 10 + i, .producer_id = 7 + i, .max_timestamp_ms = NOW,
		    .base_sequence = i, .last_sequence = i, .transactional = i == 1 };

		(void)producer_state_apply(s, &f, &done);
	}
	producer_state_encode(s, &bytes, &len);
	seed(SNAPSHOT, slice_of(bytes, len), give, ctx);
	free(bytes);
	producer_state_free(&s);
}

void
fuzz_seeds(fuzz_give *give, void *ctx)
{
	static const uint8_t index[] = { 0, 0, 0, 1, 0, 0, 0, 90, 0, 0, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t txn[34] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0, 105, 0, 0, 0, 0, 0, 0, 0, 106 };

	seed(CHECKPOINT, SLICE_LIT("0\n2\nt 0 17\nother.topic 12 9223372036854775807\n"), give, ctx);
	seed(EPOCHS, SLICE_LIT("0\n2\n0 0\n5 17\n"), give, ctx);
	seed(METADATA, SLICE_LIT("version: 0\ntopic_id: g_JzYBo6SGu68tHfK5MjQw"), give, ctx);
	seed(META, SLICE_LIT("#\n#Sun Nov 05 00:00:00 UTC 2023\ncluster.id=ugjkzGTCSI6msmRQ4uzs9Q\nversion=0\nbroker.id=7\ndirectory.id=abc\nmore=\\u00e9 x\n"),
	    give, ctx);
	seed_snapshot(give, ctx);
	seed(INDEX, slice_of(index, sizeof(index)), give, ctx);
	seed(TIME, slice_of(index, sizeof(index)), give, ctx);
	seed(TXN, slice_of(txn, sizeof(txn)), give, ctx);
	seed(NAMES, SLICE_LIT("/d/t-0/00000000000000000100.timeindex.deleted"), give, ctx);
}
