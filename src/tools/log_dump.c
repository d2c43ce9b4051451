/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/log_dump.c - ottla log dump: what the files say, unjudged.
 *
 * A broker may be writing: a file ends where its last whole batch ends, and what stands behind is counted, not interpreted.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/producer_state.h"
#include "record/record.h"
#include "tools/tools.h"

enum { SNAPSHOT_MAX = 1 << 30, TEXT_MAX = 1 << 26 };

struct dump {
	const struct arguments *args;
	bool json, data, records;
	int64_t from_offset, to_offset, from_time, to_time;
	const char *key;
	struct codec_ctx *codecs;
	const char *path;
	enum status status;
};

/* ---- records ---- */

static bool
wanted_record(const struct dump *d, const struct record *r)
{
	if (r->offset < d->from_offset || r->offset > d->to_offset || r->timestamp < d->from_time || r->timestamp > d->to_time)
		return (false);
	return (d->key == NULL || slice_eq_str(r->key, d->key));
}

static void
headers_json(struct line *j, const struct record *r)
{
	struct reader rd = reader_of(r->headers);
	struct strbuf sb = STRBUF_INIT;
	struct record_header h;

	strbuf_add(&sb, "[");
	for (int32_t i = 0; i < r->header_count && record_header_next(&rd, &h) == OK; i++) {
		strbuf_add(&sb, i == 0 ? "[" : ",[");
		strbuf_add_json_string(&sb, h.key);
		strbuf_add(&sb, ",");
		if (h.value.p == NULL)
			strbuf_add(&sb, "null");
		else
			strbuf_add_json_string(&sb, h.value);
		strbuf_add(&sb, "]");
	}
	strbuf_add(&sb, "]");
	line_raw(j, "headers", strbuf_str(&sb));
	strbuf_fini(&sb);
}

static void
record_json(const struct dump *d, const struct record *r)
{
	struct line j;

	line_begin(&j, "record");
	line_int(&j, "offset", r->offset);
	line_int(&j, "timestamp", r->timestamp);
	line_int(&j, "key_size", r->key_len < 0 ? -1 : r->key_len);
	line_int(&j, "value_size", r->value_len < 0 ? -1 : r->value_len);
	line_int(&j, "header_count", r->header_count);
	if (d->data) {
		line_bytes(&j, "key", r->key);
		line_bytes(&j, "value", r->value);
		headers_json(&j, r);
	}
	line_end(&j);
}

static void
print_size(const char *name, int32_t n)
{
	if (n < 0)
		printf(" %s null", name);
	else
		printf(" %s %" PRId32 " bytes", name, n);
}

static void
record_text(const struct dump *d, const struct record *r)
{
	struct reader rd = reader_of(r->headers);
	struct record_header h;
	char when[40];

	format_time(r->timestamp, when);
	printf("    %" PRId64 " %s", r->offset, when);
	if (!d->data) {
		print_size("key", r->key_len);
		print_size("value", r->value_len);
		printf("%s", r->header_count > 0 ? " with headers\n" : "\n");
		return;
	}
	fputs(" key ", stdout);
	print_escaped(r->key);
	fputs(" value ", stdout);
	print_escaped(r->value);
	for (int32_t i = 0; i < r->header_count && record_header_next(&rd, &h) == OK; i++) {
		fputs(i == 0 ? " headers " : ", ", stdout);
		print_escaped(h.key);
		putchar('=');
		print_escaped(h.value);
	}
	putchar('\n');
}

static void
control_record(const struct dump *d, const struct batch_header *h, struct slice whole)
{
	struct errbuf why = ERRBUF_INIT;
	struct control_record c;
	struct line j;
	bool good = batch_control_decode(whole, &c, &why) == OK;
	const char *what = !good ? "unreadable" : c.type == CONTROL_ABORT ? "abort" : c.type == CONTROL_COMMIT ? "commit" : "unknown";

	if (h->record_count == 0)
		return;
	if (!d->json) {
		printf("    %" PRId64 " marker %s, coordinator epoch %" PRId32 "%s%s\n", h->base_offset, what, good ? c.coordinator_epoch : -1, good ? "" : ": ", why.text);
		return;
	}
	line_begin(&j, "marker");
	line_int(&j, "offset", h->base_offset);
	line_string(&j, "control", what);
	line_int(&j, "producer_id", h->producer_id);
	line_int(&j, "coordinator_epoch", good ? c.coordinator_epoch : -1);
	line_end(&j);
}

/* ---- batches ---- */

static void
batch_json(const struct batch_header *h, uint64_t at, bool crc)
{
	struct line j;

	line_begin(&j, "batch");
	line_int(&j, "base_offset", h->base_offset);
	line_int(&j, "last_offset", h->last_offset);
	line_int(&j, "position", (int64_t)at);
	line_int(&j, "size", h->size);
	line_int(&j, "magic", h->magic);
	line_string(&j, "codec", codec_name(batch_codec(h)));
	line_int(&j, "records", h->record_count);
	line_int(&j, "leader_epoch", h->leader_epoch);
	line_int(&j, "base_timestamp", h->base_timestamp);
	line_int(&j, "max_timestamp", h->max_timestamp);
	line_string(&j, "timestamp_type", batch_timestamp_type(h) == TIMESTAMP_LOG_APPEND_TIME ? "log_append_time" : "create_time");
	line_int(&j, "producer_id", h->producer_id);
	line_int(&j, "producer_epoch", h->producer_epoch);
	line_int(&j, "base_sequence", h->base_sequence);
	line_int(&j, "last_sequence", batch_last_sequence(h));
	line_bool(&j, "transactional", batch_is_transactional(h));
	line_bool(&j, "control", batch_is_control(h));
	line_int(&j, "delete_horizon", batch_delete_horizon_ms(h));
	line_int(&j, "crc", h->crc);
	line_bool(&j, "crc_ok", crc);
	line_end(&j);
}

static void
batch_text(const struct batch_header *h, uint64_t at, bool crc)
{
	char when[40];

	format_time(h->max_timestamp, when);
	printf("batch %" PRId64 "..%" PRId64 " position %" PRIu64 " size %" PRIu32 " magic %d %s epoch %" PRId32 " records %" PRId32 " %s %s", h->base_offset, h->last_offset, at,
	    h->size, h->magic, codec_name(batch_codec(h)), h->leader_epoch, h->record_count,
	    batch_timestamp_type(h) == TIMESTAMP_LOG_APPEND_TIME ? "append-time" : "create-time", when);
	if (batch_has_producer(h))
		printf(" producer %" PRId64 " epoch %d sequence %" PRId32 "..%" PRId32, h->producer_id, h->producer_epoch, h->base_sequence, batch_last_sequence(h));
	printf("%s%s", batch_is_transactional(h) ? " transactional" : "", batch_is_control(h) ? " control" : "");
	if (batch_has_delete_horizon(h))
		printf(" delete-horizon %" PRId64, batch_delete_horizon_ms(h));
	printf(" crc %08" PRIx32 "%s\n", h->crc, crc ? "" : " WRONG");
}

static bool
wanted_batch(const struct dump *d, const struct batch_header *h)
{
	return (h->last_offset >= d->from_offset && (h->base_offset < 0 || h->base_offset <= d->to_offset) && (h->max_timestamp >= d->from_time));
}

/* Does any record of it pass?  Without filters of records every batch does. */
static bool
walk_records(struct dump *d, const struct batch_header *h, struct slice whole, bool print, struct errbuf *why)
{
	struct record_iter it = { 0 };
	struct record r;
	bool any = false;
	enum err e = record_iter_init(&it, d->codecs, whole, h, RECORD_FULL, why);

	while (e == OK && (e = record_iter_next(&it, &r, why)) == OK) {
		if (!wanted_record(d, &r))
			continue;
		any = true;
		if (!print)
			break;
		if (d->json)
			record_json(d, &r);
		else
			record_text(d, &r);
	}
	record_iter_fini(&it);
	if (e == OK || e == ERR_NOTFOUND)
		why->text[0] = '\0';
	else if (why->text[0] == '\0')
		errbuf_set(why, "%s", err_text(e));
	return (any);
}

static bool
take_batch(void *ctx, const struct batch_header *h, struct slice whole, uint64_t at)
{
	struct dump *d = ctx;
	struct errbuf why = ERRBUF_INIT;
	bool crc = batch_crc_ok(whole), filters = d->key != NULL || d->from_time != INT64_MIN || d->to_time != INT64_MAX;

	if (!wanted_batch(d, h) || (filters && !walk_records(d, h, whole, false, &why)))
		return (h->last_offset < d->to_offset);
	if (d->json)
		batch_json(h, at, crc);
	else
		batch_text(h, at, crc);
	if (d->records && batch_is_control(h))
		control_record(d, h, whole);
	else if (d->records) {
		(void)walk_records(d, h, whole, true, &why);
		if (why.text[0] != '\0') {
			fflush(stdout);
			d->status = failure(d->args, "%s: batch of offset %" PRId64 ": %s", d->path, h->base_offset, why.text);
		}
	}
	return (h->last_offset < d->to_offset);
}

static void
dump_data(struct dump *d)
{
	struct errbuf eb = ERRBUF_INIT;
	uint64_t at, size;

	if (log_each_batch(fs_real(), d->path, 0, take_batch, d, &at, &size, &eb) != OK)
		d->status = failure(d->args, "%s", eb.text);
	else if (at < size && d->to_offset == INT64_MAX) {
		fflush(stdout);
		fprintf(stderr, "%s: from position %" PRIu64 " on no whole batch (%" PRIu64 " bytes)\n", d->path, at, size - at);
	}
}

/* ---- indexes ---- */

static void
index_row(struct dump *d, enum log_file_kind kind, const struct log_index_row *r, struct table *t)
{
	char when[40];
	struct line j;

	format_time(r->timestamp_ms, when);
	if (kind == LOG_FILE_INDEX && !d->json) {
		table_cell(t, "%" PRId64, r->offset);
		table_cell(t, "%" PRIu32, r->position);
	} else if (kind == LOG_FILE_TIME && !d->json) {
		table_cell(t, "%" PRId64, r->timestamp_ms);
		table_cell(t, "%" PRId64, r->offset);
		table_cell(t, "%s", when);
	} else if (!d->json) {
		table_cell(t, "%" PRId64, r->producer_id);
		table_cell(t, "%" PRId64, r->first_offset);
		table_cell(t, "%" PRId64, r->offset);
		table_cell(t, "%" PRId64, r->last_stable_offset);
	} else {
		line_begin(&j, kind == LOG_FILE_INDEX ? "index_entry" : kind == LOG_FILE_TIME ? "time_index_entry" : "transaction_index_entry");
		if (kind == LOG_FILE_TXN) {
			line_int(&j, "producer_id", r->producer_id);
			line_int(&j, "first_offset", r->first_offset);
			line_int(&j, "last_offset", r->offset);
			line_int(&j, "last_stable_offset", r->last_stable_offset);
		} else {
			line_int(&j, "offset", r->offset);
			line_int(&j, kind == LOG_FILE_INDEX ? "position" : "timestamp", kind == LOG_FILE_INDEX ? (int64_t)r->position : r->timestamp_ms);
		}
		line_end(&j);
	}
}

static void
dump_index(struct dump *d, enum log_file_kind kind, int64_t base)
{
	static const char *const heads[3][4] = { { "OFFSET", "POSITION" }, { "TIMESTAMP", "OFFSET", "TIME" }, { "PRODUCER", "FIRST", "MARKER", "LAST STABLE" } };
	unsigned which = kind == LOG_FILE_INDEX ? 0 : kind == LOG_FILE_TIME ? 1 : 2;
	struct log_index_rows rows;
	struct errbuf eb = ERRBUF_INIT;
	struct table *t;

	if (log_index_read(fs_real(), d->path, kind, base, &rows, &eb) != OK) {
		d->status = failure(d->args, "%s", eb.text);
		return;
	}
	t = table_new(heads[which], which + 2);
	for (uint32_t i = 0; i < rows.n; i++)
		if (rows.v[i].offset >= d->from_offset && rows.v[i].offset <= d->to_offset)
			index_row(d, kind, &rows.v[i], t);
	table_print(&t);
	if (!d->json)
		printf("%" PRIu32 " entries%s\n", rows.n, rows.tail_bytes > 0 ? ", presized" : "");
	log_index_rows_fini(&rows);
}

/* ---- the small files ---- */

struct rows {
	struct dump *d;
	struct table *t;
};

static void
producer_row(void *ctx, const struct producer_entry *e)
{
	struct rows *r = ctx;
	const struct producer_batch *last = e->nbatches == 0 ? NULL : &e->batches[e->nbatches - 1];
	const int64_t v[] = { e->producer_id, e->producer_epoch, last == NULL ? -1 : last->last_sequence, last == NULL ? -1 : last->last_offset,
		last == NULL ? 0 : last->offset_delta, e->last_timestamp_ms, e->coordinator_epoch, e->txn_first_offset };
	static const char *const keys[] = { "producer_id", "epoch", "last_sequence", "last_offset", "offset_delta", "timestamp", "coordinator_epoch",
		"transaction_first_offset" };
	struct line j;

	if (r->d->json)
		line_begin(&j, "producer");
	for (size_t i = 0; i < NELEM(v); i++) {
		if (r->d->json)
			line_int(&j, keys[i], v[i]);
		else
			table_cell(r->t, "%" PRId64, v[i]);
	}
	if (r->d->json)
		line_end(&j);
}

static void
dump_snapshot(struct dump *d, int64_t base)
{
	static const char *const heads[] = { "PRODUCER", "EPOCH", "SEQUENCE", "OFFSET", "DELTA", "TIMESTAMP", "COORDINATOR", "TRANSACTION" };
	struct producer_state *ps = producer_state_new(INT64_MAX);
	struct rows r = { d, table_new(heads, NELEM(heads)) };
	struct errbuf eb = ERRBUF_INIT;
	char *text = NULL;
	size_t len = 0;
	enum err e = fs_read_file(fs_real(), d->path, SNAPSHOT_MAX, &text, &len, &eb);

	if (e == OK)
		e = producer_state_decode(ps, (const uint8_t *)text, len, base, 0, &eb);
	if (e == OK)
		producer_state_each(ps, producer_row, &r);
	table_print(&r.t);
	if (e != OK)
		d->status = failure(d->args, "%s: %s", d->path, eb.text);
	else if (!d->json)
		printf("%" PRIu32 " producers, of everything below offset %" PRId64 "\n", producer_state_count(ps), base);
	free(text);
	producer_state_free(&ps);
}

static void
dump_epochs(struct dump *d)
{
	static const char *const heads[] = { "EPOCH", "FROM OFFSET" };
	char *dir = xstrndup(d->path, (size_t)(strrchr(d->path, '/') - d->path));
	struct epoch_cache ec = EPOCH_CACHE_INIT;
	struct errbuf eb = ERRBUF_INIT;
	struct table *t = table_new(heads, NELEM(heads));
	struct line j;

	if (epoch_cache_read(fs_real(), dir, &ec, &eb) != OK)
		d->status = failure(d->args, "%s", eb.text);
	for (uint32_t i = 0; i < ec.n; i++) {
		if (d->json) {
			line_begin(&j, "leader_epoch");
			line_int(&j, "epoch", ec.entries[i].epoch);
			line_int(&j, "start_offset", ec.entries[i].start_offset);
			line_end(&j);
		} else {
			table_cell(t, "%" PRId32, ec.entries[i].epoch);
			table_cell(t, "%" PRId64, ec.entries[i].start_offset);
		}
	}
	table_print(&t);
	epoch_cache_fini(&ec);
	free(dir);
}

static void
dump_checkpoint(struct dump *d)
{
	static const char *const heads[] = { "TOPIC", "PARTITION", "OFFSET" };
	struct checkpoint cp = CHECKPOINT_INIT;
	struct errbuf eb = ERRBUF_INIT;
	struct table *t = table_new(heads, NELEM(heads));
	struct line j;

	if (checkpoint_read(fs_real(), d->path, &cp, &eb) != OK)
		d->status = failure(d->args, "%s", eb.text);
	for (uint32_t i = 0; i < cp.n; i++) {
		if (d->json) {
			line_begin(&j, "checkpoint");
			line_string(&j, "topic", cp.entries[i].topic);
			line_int(&j, "partition", cp.entries[i].partition);
			line_int(&j, "offset", cp.entries[i].offset);
			line_end(&j);
		} else {
			table_cell(t, "%s", cp.entries[i].topic);
			table_cell(t, "%" PRId32, cp.entries[i].partition);
			table_cell(t, "%" PRId64, cp.entries[i].offset);
		}
	}
	table_print(&t);
	checkpoint_fini(&cp);
}

static void
dump_text(struct dump *d)
{
	struct errbuf eb = ERRBUF_INIT;
	char *text = NULL, *line, *save = NULL;
	size_t len = 0;
	struct line j;

	if (fs_read_file(fs_real(), d->path, TEXT_MAX, &text, &len, &eb) != OK) {
		d->status = failure(d->args, "%s", eb.text);
		return;
	}
	for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		if (d->json) {
			line_begin(&j, "line");
			line_bytes(&j, "text", slice_str(line));
			line_end(&j);
		} else
			printf("%s\n", line);
	}
	free(text);
}

/* ---- files, directories ---- */

static void
dump_file(struct dump *d, const char *path)
{
	int64_t base;
	enum log_file_kind kind = log_file_kind(path, &base);
	struct line j;

	d->path = path;
	if (d->json) {
		line_begin(&j, "file");
		line_string(&j, "path", path);
		line_end(&j);
	} else
		printf("== %s\n", path);
	switch (kind) {
	case LOG_FILE_DATA:
		dump_data(d);
		break;
	case LOG_FILE_INDEX:
	case LOG_FILE_TIME:
	case LOG_FILE_TXN:
		dump_index(d, kind, base);
		break;
	case LOG_FILE_SNAPSHOT:
		dump_snapshot(d, base);
		break;
	case LOG_FILE_EPOCHS:
		dump_epochs(d);
		break;
	case LOG_FILE_CHECKPOINT:
		dump_checkpoint(d);
		break;
	case LOG_FILE_METADATA:
	case LOG_FILE_PROPERTIES:
		dump_text(d);
		break;
	case LOG_FILE_UNKNOWN:
		d->status = failure(d->args, "%s: by its name this is no file of a log", path);
		break;
	}
}

static bool
wanted_kind(const struct dump *d, enum log_file_kind kind)
{
	static const char *const names[] = {
		[LOG_FILE_DATA] = "data", [LOG_FILE_INDEX] = "index", [LOG_FILE_TIME] = "timeindex", [LOG_FILE_TXN] = "txnindex", [LOG_FILE_SNAPSHOT] = "snapshot",
		[LOG_FILE_EPOCHS] = "checkpoint", [LOG_FILE_METADATA] = "checkpoint", [LOG_FILE_PROPERTIES] = "checkpoint", [LOG_FILE_CHECKPOINT] = "checkpoint",
		[LOG_FILE_UNKNOWN] = "",
	};

	return (kind != LOG_FILE_UNKNOWN && (!given(d->args, OPT_kind) || strcmp(d->args->value[OPT_kind], names[kind]) == 0));
}

struct entries {
	char   **v;
	unsigned n;
};

static bool
take_entry(void *ctx, const char *name, bool is_dir)
{
	struct entries *es = ctx;

	if (is_dir)
		return (true);
	es->v = xreallocarray(es->v, (size_t)es->n + 1, sizeof(*es->v));
	es->v[es->n++] = xstrdup(name);
	return (true);
}

static int
by_name(const void *a, const void *b)
{
	return (strcmp(*(char *const *)a, *(char *const *)b));
}

static void
dump_files(struct dump *d, const char *dir)
{
	struct entries es = { NULL, 0 };
	struct errbuf eb = ERRBUF_INIT;
	int64_t base;

	if (fs_real()->ops->list(fs_real(), dir, take_entry, &es, &eb) != OK)
		d->status = failure(d->args, "%s", eb.text);
	if (es.n > 0)
		qsort(es.v, es.n, sizeof(*es.v), by_name);
	for (unsigned i = 0; i < es.n; i++) {
		char *path = xasprintf("%s/%s", dir, es.v[i]);

		if (wanted_kind(d, log_file_kind(path, &base)))
			dump_file(d, path);
		free(path);
		free(es.v[i]);
	}
	free(es.v);
}

static void
dump_log_dir(struct dump *d, const char *dir)
{
	struct log_findings ignored = LOG_FINDINGS_INIT;
	struct errbuf eb = ERRBUF_INIT;
	struct log_place p;

	dump_files(d, dir);
	if (log_place_read(fs_real(), dir, false, &p, &ignored, &eb) != OK)
		d->status = failure(d->args, "%s", eb.text);
	for (uint32_t i = 0; i < p.nlogs; i++) {
		char *path = xasprintf("%s/%s", dir, p.logs[i]);

		dump_files(d, path);
		free(path);
	}
	log_place_fini(&p);
	log_findings_fini(&ignored);
}

enum status
verb_log_dump(const struct arguments *a)
{
	struct dump d = { .args = a, .json = given(a, OPT_json), .data = given(a, OPT_print_data), .records = !given(a, OPT_no_records),
		.from_offset = INT64_MIN, .to_offset = INT64_MAX, .from_time = INT64_MIN, .to_time = INT64_MAX, .key = a->value[OPT_key] };
	static const char *const kinds[] = { "data", "index", "timeindex", "txnindex", "snapshot", "checkpoint" };
	bool known = !given(a, OPT_kind);
	struct operand o;

	if (!option_i64(a, OPT_from_offset, &d.from_offset) || !option_i64(a, OPT_to_offset, &d.to_offset) || !option_time(a, OPT_from_time, &d.from_time) ||
	    !option_time(a, OPT_to_time, &d.to_time))
		return (STATUS_USAGE);
	for (size_t i = 0; i < NELEM(kinds); i++)
		known |= given(a, OPT_kind) && strcmp(a->value[OPT_kind], kinds[i]) == 0;
	if (!known)
		return (usage_error(a, "--only %s: data, index, timeindex, txnindex, snapshot or checkpoint", a->value[OPT_kind]));
	d.codecs = codec_ctx_new();
	for (unsigned i = 0; i < a->noperands; i++) {
		if (!operand_open(a, a->operands[i], &o)) {
			d.status = STATUS_FAILED;
			continue;
		}
		if (o.kind == OPERAND_FILE)
			dump_file(&d, o.path);
		else if (o.kind == OPERAND_PARTITION)
			dump_files(&d, o.path);
		else
			dump_log_dir(&d, o.path);
		operand_fini(&o);
	}
	codec_ctx_free(d.codecs);
	return (d.status);
}
