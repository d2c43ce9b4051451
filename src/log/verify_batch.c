/* SPDX-License-Identifier: Apache-2.0
 *
 * log/verify_batch.c - the rules of one batch: B2 to B7 of rules.def.
 *
 * A batch whose checksum is wrong is not looked at further: nothing in it can be believed.  The checksum leaves out base offset and leader
 * epoch (a leader writes them without computing it anew), so these are judged by their neighbours.
 */
#include <inttypes.h>

#include "log/inspect_int.h"
#include "record/record.h"

enum { ATTRIBUTES_KNOWN = BATCH_ATTR_CODEC | BATCH_ATTR_APPEND_TIME | BATCH_ATTR_TRANSACTIONAL | BATCH_ATTR_CONTROL | BATCH_ATTR_HORIZON };

static bool
check_offsets(struct walk *w, const struct batch_header *h, int64_t first, uint64_t at)
{
	if (first < w->base || first < w->next || h->last_offset < first || h->last_offset - w->base > INT32_MAX || h->last_offset >= w->limit) {
		finding_add(&w->report->findings, LOG_RULE_OFFSETS, true, w->path, first, (int64_t)at,
		    "a batch of offsets %" PRId64 " to %" PRId64 " where %" PRId64 " was expected%s", first, h->last_offset, w->next,
		    h->last_offset >= w->limit ? " (the next segment begins in it)" : "");
		return (false);
	}
	return (true);
}

static void
check_attributes(struct walk *w, const struct batch_header *h, struct slice whole, uint64_t at)
{
	struct errbuf why = ERRBUF_INIT;
	struct control_record c;

	if (h->magic < 2)
		return;
	if ((h->attributes & ~ATTRIBUTES_KNOWN) != 0)
		finding_add(&w->report->findings, LOG_RULE_ATTRIBUTES, true, w->path, h->base_offset, (int64_t)at, "attributes 0x%04x", h->attributes);
	if (batch_is_control(h) && h->record_count > 0 && batch_control_decode(whole, &c, &why) != OK)
		finding_add(&w->report->findings, LOG_RULE_ATTRIBUTES, true, w->path, h->base_offset, (int64_t)at, "control batch: %s", why.text);
}

struct seen {
	int64_t	 last_offset, max_timestamp;
	uint32_t n;
};

static enum err
walk_records(struct record_iter *it, const struct batch_header *h, struct seen *s, struct errbuf *eb)
{
	int64_t before = h->magic == 2 ? h->base_offset - 1 : -1;
	struct record r;
	enum err e;

	while ((e = record_iter_next(it, &r, eb)) == OK) {
		if (r.offset <= before || r.offset > h->last_offset) {
			errbuf_set(eb, "a record of offset %" PRId64 " behind one of %" PRId64 ", in a batch that ends with %" PRId64, r.offset, before, h->last_offset);
			return (ERR_MALFORMED);
		}
		before = s->last_offset = r.offset;
		s->max_timestamp = s->n == 0 ? r.timestamp : MAX(s->max_timestamp, r.timestamp);
		s->n++;
	}
	return (e == ERR_NOTFOUND ? OK : e);
}

static bool
check_records(struct walk *w, const struct batch_header *h, struct slice whole, uint64_t at)
{
	struct errbuf why = ERRBUF_INIT;
	struct seen s = { -1, -1, 0 };
	struct record_iter it = { 0 };
	enum err e = record_iter_init(&it, w->codecs, whole, h, RECORD_FRAMING, &why);

	if (e == OK)
		e = walk_records(&it, h, &s, &why);
	record_iter_fini(&it);
	w->report->records += s.n;
	if (e != OK) {
		finding_add(&w->report->findings, LOG_RULE_RECORDS, e != ERR_UNSUPPORTED, w->path, h->base_offset, (int64_t)at, "%s%s",
		    why.text[0] == '\0' ? err_text(e) : why.text, e == ERR_UNSUPPORTED ? " (the records were not looked at)" : "");
		return (e == ERR_UNSUPPORTED);
	}
	if (h->magic == 2 && s.n > 0 && batch_timestamp_type(h) == TIMESTAMP_CREATE_TIME && s.max_timestamp != h->max_timestamp)
		finding_add(&w->report->findings, LOG_RULE_MAX_TIMESTAMP, true, w->path, h->base_offset, (int64_t)at,
		    "the header says %" PRId64 ", the records %" PRId64, h->max_timestamp, s.max_timestamp);
	return (true);
}

bool
batch_verify_outside(struct walk *w, const struct batch_header *h, struct slice whole, uint64_t at)
{
	int64_t first = batch_first_offset(h);

	if (!batch_crc_ok(whole)) {
		finding_add(&w->report->findings, LOG_RULE_CRC, true, w->path, first, (int64_t)at,
		    "the batch of %" PRIu32 " bytes has checksum %08" PRIx32 ", its bytes give %08" PRIx32, h->size, h->crc, batch_crc(whole));
		return (false);
	}
	return (check_offsets(w, h, first, at));
}

bool
batch_verify(struct walk *w, const struct batch_header *h, struct slice whole, uint64_t at)
{
	int64_t first = batch_first_offset(h);

	if (!batch_verify_outside(w, h, whole, at))
		return (false);
	if (w->next > 0 && first > w->next)
		w->gaps = true;
	if (h->magic == 2 && h->record_count <= h->last_offset_delta)
		w->gaps = true;
	check_attributes(w, h, whole, at);
	return (check_records(w, h, whole, at));
}
