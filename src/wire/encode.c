/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/encode.c - structures to bytes, see walker.h; the encoding is described in decode.c.
 *
 * The same walk goes twice over the message.  The first measures, and finds everything that is wrong with it; on the way it writes into
 * a small buffer, and when that has held all of it, as it does most answers, a copy of it is the output and no second walk is made.
 * The second writes into one buffer of exactly that size.  Where a `records` chain belongs, the buffer is cut: what was written since
 * the last cut becomes a memory item of the output, and the items of the chain move in behind it, so files are never read.
 *
 * INVARIANTS
 *   (1) the second walk takes as many bytes as the first one counted, and meets no error of its own but a full arena.
 *   (2) a field in a version that does not carry it has its default, or is IGNORABLE: else the message would change its meaning.
 *   (3) a tagged field is written only when it has no default; tags ascend, as the rows do.
 */
#include "wire/walker_int.h"

enum { TEXT_MAX = INT16_MAX, SMALL = 1024 };

struct encoder {
	struct writer	 w;
	struct arena	*arena;
	struct chain	*out;		/* NULL: measuring */
	uint8_t		*cut;		/* bytes before this are in *out already */
	uint64_t	 records;	/* bytes of records met */
	struct errbuf	*eb;
	enum err	 err;
	int		 version;
	bool		 flexible;
};

static void encode_struct(struct encoder *, const struct wire_struct *, uint8_t *);
static void encode_structs(struct encoder *, const struct wire_struct *, uint8_t *, size_t n);
static void encode_field(struct encoder *, const struct wire_field *, uint8_t *);

static void
fail(struct encoder *e, enum err err, const struct wire_field *f, const char *why)
{
	if (e->err != OK)
		return;
	e->err = err;
	errbuf_set(e->eb, "%s: %s in version %d", f->name, why, e->version);
}

/* n is -1 for null. */
static void
encode_length(struct encoder *e, const struct wire_field *f, unsigned type, int64_t n, bool nullable)
{
	if (UNLIKELY(n < 0 && !nullable))
		fail(e, ERR_INVALID, f, "null is not allowed");
	else if (UNLIKELY(type == WIRE_STR && n > TEXT_MAX))
		fail(e, ERR_INVALID, f, "text above 32767 bytes");
	else if (UNLIKELY(n >= INT32_MAX))
		fail(e, ERR_LIMIT, f, "more than 2 GiB");
	else if (field_compact(f, e->flexible))
		wr_uvarint(&e->w, (uint32_t)(n + 1));
	else if (type == WIRE_STR)
		wr_i16(&e->w, (int16_t)n);
	else
		wr_i32(&e->w, (int32_t)n);
}

static void
encode_slice(struct encoder *e, const struct wire_field *f, unsigned type, struct slice s, bool nullable)
{
	encode_length(e, f, type, s.p == NULL ? -1 : (int64_t)MIN(s.len, (size_t)INT64_MAX), nullable);
	if (e->err == OK)
		wr_bytes(&e->w, s.p, s.len);
}

/* What was written since the last cut goes to the output. */
static void
cut(struct encoder *e)
{
	if (e->w.p > e->cut && !chain_add_mem(e->out, e->arena, slice_of(e->cut, (size_t)(e->w.p - e->cut)))) {
		errbuf_set(e->eb, "the request's memory is used up");
		e->err = ERR_LIMIT;
	}
	e->cut = e->w.p;
}

static void
encode_records(struct encoder *e, const struct wire_field *f, struct chain *records)
{
	encode_length(e, f, WIRE_RECORDS, records->null ? -1 : (int64_t)MIN(records->len, (uint64_t)INT64_MAX), field_nullable(f, e->version));
	e->records += records->len;
	if (e->out == NULL || records->len == 0)
		return;
	cut(e);
	if (e->err == OK)
		chain_append(e->out, records);
}

static void
encode_run(struct writer *w, unsigned type, const void *v, size_t n)
{
	size_t size = fixed_width(type);
	uint8_t *p = wr_take(w, n * size);

	if (p == NULL)
		return;
	switch (size) {
	case 2:
		for (size_t i = 0; i < n; i++)
			be16enc(p + 2 * i, ((const uint16_t *)v)[i]);
		break;
	case 4:
		for (size_t i = 0; i < n; i++)
			be32enc(p + 4 * i, ((const uint32_t *)v)[i]);
		break;
	case 8:
		for (size_t i = 0; i < n; i++)
			be64enc(p + 8 * i, ((const uint64_t *)v)[i]);
		break;
	default:				/* bool, i8, uuid: as they are */
		memcpy(p, v, n * size);
	}
}

static void
encode_array(struct encoder *e, const struct wire_field *f, const struct wire_array *a)
{
	size_t size = elem_size(f);
	uint8_t *v = a->v;

	encode_length(e, f, WIRE_ARRAY, a->n < 0 ? -1 : a->n, field_nullable(f, e->version));
	if (a->n <= 0 || e->err != OK)
		return;
	if (type_fixed(f->elem)) {
		encode_run(&e->w, f->elem, v, (size_t)a->n);
		return;
	}
	if (f->elem == WIRE_STRUCT)
		encode_structs(e, f->child, v, (size_t)a->n);
	else
		for (int32_t i = 0; i < a->n && e->err == OK; i++, v += size)
			encode_slice(e, f, f->elem, *(struct slice *)v, false);
}

static void
encode_struct_ptr(struct encoder *e, const struct wire_field *f, uint8_t *child)
{
	if (child == NULL && !field_nullable(f, e->version)) {
		fail(e, ERR_INVALID, f, "null is not allowed");
		return;
	}
	wr_i8(&e->w, child == NULL ? -1 : 1);
	if (child != NULL)
		encode_struct(e, f->child, child);
}

static void
encode_field(struct encoder *e, const struct wire_field *f, uint8_t *p)
{
	switch (f->type) {
	case WIRE_STR:
	case WIRE_BYTES:
		encode_slice(e, f, f->type, *(struct slice *)p, field_nullable(f, e->version));
		break;
	case WIRE_RECORDS:
		encode_records(e, f, (struct chain *)p);
		break;
	case WIRE_STRUCT:
		encode_struct(e, f->child, p);
		break;
	case WIRE_STRUCT_PTR:
		encode_struct_ptr(e, f, *(uint8_t **)p);
		break;
	case WIRE_ARRAY:
		encode_array(e, f, (struct wire_array *)p);
		break;
	default:
		encode_run(&e->w, f->type, p, 1);
	}
}

static bool
tag_is_set(const struct encoder *e, const struct wire_field *f, const uint8_t *base)
{
	return (f->tag != WIRE_NOTAG && field_present(f, e->version) && !wire_field_is_default(f, base + f->offset));
}

static void
encode_tagged_field(struct encoder *e, const struct wire_field *f, uint8_t *p)
{
	struct encoder measure = *e;

	measure.w = writer_of(NULL, 0);
	measure.out = NULL;
	encode_field(&measure, f, p);
	e->err = measure.err;
	wr_uvarint(&e->w, (uint32_t)f->tag);
	wr_uvarint(&e->w, (uint32_t)measure.w.need);
	if (e->err == OK)
		encode_field(e, f, p);
}

static void
encode_tagged(struct encoder *e, const struct wire_struct *s, uint8_t *base)
{
	uint32_t n = 0;

	for (unsigned i = 0; s->n_tagged > 0 && i < s->n; i++)
		n += tag_is_set(e, &s->fields[i], base);
	wr_uvarint(&e->w, n);
	for (unsigned i = 0; n > 0 && i < s->n && e->err == OK; i++)
		if (tag_is_set(e, &s->fields[i], base))
			encode_tagged_field(e, &s->fields[i], base + s->fields[i].offset);
}

/* Invariant (2); checked in the first walk only. */
static void
check_absent(struct encoder *e, const struct wire_field *f, const uint8_t *p)
{
	if (e->out == NULL && (f->flags & WIRE_IGNORABLE) == 0 && !wire_field_is_default(f, p))
		fail(e, ERR_UNSUPPORTED, f, "has a value that cannot be sent");
}

static inline void
encode_step(struct encoder *e, const struct step *st, uint8_t *p)
{
	switch (st->type) {
	case WIRE_I8:
		wr_i8(&e->w, *(int8_t *)p);
		break;
	case WIRE_I16:
		wr_i16(&e->w, *(int16_t *)p);
		break;
	case WIRE_I32:
		wr_i32(&e->w, *(int32_t *)p);
		break;
	case WIRE_I64:
		wr_i64(&e->w, *(int64_t *)p);
		break;
	case STEP_ABSENT:
		if (st->f->tag == WIRE_NOTAG || !field_present(st->f, e->version))
			check_absent(e, st->f, p);
		break;
	default:
		encode_field(e, st->f, p);
	}
}

static void
encode_by(struct encoder *e, const struct plan *plan, uint8_t *base)
{
	for (const struct step *st = plan->steps, *end = st + plan->n; st < end && LIKELY(e->err == OK); st++)
		encode_step(e, st, base + st->offset);
	if (e->flexible && e->err == OK)
		encode_tagged(e, plan->s, base);
	if (UNLIKELY(e->err != OK))
		errbuf_add(e->eb, "%s", plan->s->name);
}

static void
encode_structs(struct encoder *e, const struct wire_struct *s, uint8_t *v, size_t n)
{
	struct plan plan;

	plan_make(&plan, s, e->version, e->flexible);
	for (size_t i = 0; i < n && e->err == OK; i++)
		encode_by(e, &plan, v + i * s->size);
}

static void
encode_struct(struct encoder *e, const struct wire_struct *s, uint8_t *base)
{
	encode_structs(e, s, base, 1);
}

static void
encode_message(struct encoder *e, const struct wire_part *part)
{
	must(part->version >= part->message->first && part->version <= part->message->last);
	e->version = part->version;
	e->flexible = message_flexible(part->message, part->version);
	encode_struct(e, part->message->root, part->msg);
}

/* The first walk: bytes of memory and of records.  What of it has room stands in small. */
static enum err
measure(const struct wire_part *parts, size_t n, uint8_t *small, size_t room, struct encoder *e, struct errbuf *eb)
{
	*e = (struct encoder){ .w = writer_of(small, room), .eb = eb };
	for (size_t i = 0; i < n && e->err == OK; i++)
		encode_message(e, &parts[i]);
	if (e->err == OK && e->w.need + e->records > INT32_MAX - 4) {
		errbuf_set(eb, "%s: more than 2 GiB", parts[n - 1].message->name);
		e->err = ERR_LIMIT;
	}
	return (e->err);
}

/* The second, when small does not have all of it. */
static enum err
write_parts(const struct wire_part *parts, size_t n, const uint8_t *small, uint8_t *buf, size_t prefix, const struct encoder *measured, struct chain *made)
{
	bool written = !measured->w.full && measured->records == 0;
	size_t need = measured->w.need;
	struct encoder e = *measured;

	chain_init(made);
	e.w = writer_of(buf + prefix, need);
	e.out = made;
	e.cut = buf;
	if (written)
		wr_bytes(&e.w, small, need);
	for (size_t i = 0; !written && i < n && e.err == OK; i++)
		encode_message(&e, &parts[i]);
	if (e.err == OK)
		cut(&e);
	must(e.err != OK || (e.w.need == need && !e.w.full));	/* invariant (1) */
	return (e.err);
}

enum err
wire_encode_parts(const struct wire_part *parts, size_t n, bool frame, struct arena *arena, struct chain *out, struct errbuf *eb)
{
	size_t prefix = frame ? 4 : 0;
	uint8_t small[SMALL], *buf;
	struct chain made;
	struct encoder e;
	enum err err;

	if (measure(parts, n, small, sizeof(small), &e, eb) != OK)
		return (e.err);
	e.arena = arena;
	buf = arena_alloc(arena, prefix + e.w.need);
	if (buf == NULL) {
		errbuf_set(eb, "the request's memory is used up");
		return (ERR_LIMIT);
	}
	if (frame)
		be32enc(buf, (uint32_t)(e.w.need + e.records));
	err = write_parts(parts, n, small, buf, prefix, &e, &made);
	if (err != OK) {
		chain_fini(&made);
		return (err);
	}
	chain_append(out, &made);
	return (OK);
}

enum err
wire_encode(const struct wire_message *m, int version, void *msg, struct arena *arena, struct chain *out, struct errbuf *eb)
{
	struct wire_part part = { m, version, msg };

	return (wire_encode_parts(&part, 1, false, arena, out, eb));
}

enum err
wire_size(const struct wire_message *m, int version, const void *msg, uint64_t *sizep, struct errbuf *eb)
{
	struct wire_part part = { m, version, (void *)(uintptr_t)msg };	/* measuring changes nothing */
	struct encoder e;

	if (measure(&part, 1, NULL, 0, &e, eb) != OK)
		return (e.err);
	*sizep = e.w.need + e.records;
	return (OK);
}
