/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/decode.c - bytes to structures, see walker.h.
 *
 * A structure on the wire is its untagged fields in the order of the rows, without anything between them; in flexible versions the
 * tagged ones follow: uvarint how many, then each as uvarint tag, uvarint size, value.
 *
 * LENGTHS (null is -1)	text	classic i16	compact uvarint of length + 1, so that 0 is null
 *			others	classic i32	compact the same
 *
 * INVARIANTS
 *   (1) the first error sticks (`err`, or the reader's `bad`), and every loop ends at it.
 *   (2) no allocation is larger than what the bytes at hand can fill: an array of n needs n * its element's minimum of them.
 *   (3) a field that the version does not carry, and a tagged one that is not there, has its default.
 *   (4) what is decoded into has been zeroed.
 *   (5) recursion follows the rows, and those are a tree: the depth is the schema's, never the peer's.
 *
 * Kafka takes any number of bytes that a known tagged field announces and reads what the field needs; we want both to agree.
 * Unknown tagged fields are dropped: what Kafka keeps of them it only ever uses to write the same object again.
 */
#include <inttypes.h>

#include "base/limits.h"
#include "wire/walker_int.h"

enum {
	TEXT_MAX	= INT16_MAX,	/* of a string in bytes, in compact form too */
	SMALL_ARRAY	= 16		/* elements; up to here the exact minimum of an element is not worth computing */
};

struct decoder {
	struct reader	 r;
	struct arena	*arena;
	struct errbuf	*eb;
	enum err	 err;
	int		 version;
	bool		 flexible;
};

static void decode_struct(struct decoder *, const struct wire_struct *, uint8_t *);
static void decode_structs(struct decoder *, const struct wire_struct *, uint8_t *, size_t n);

static bool
failed(const struct decoder *d)
{
	return (d->err != OK || d->r.bad);
}

static void
fail(struct decoder *d, enum err e, const struct wire_field *f, const char *why)
{
	if (failed(d))
		return;
	d->err = e;
	errbuf_set(d->eb, "%s: %s", f->name, why);
}

static int32_t
decode_compact_length(struct decoder *d, const struct wire_field *f)
{
	uint32_t u = rd_uvarint(&d->r);

	if (u == 0)
		return (-1);
	if (UNLIKELY(u - 1 > INT32_MAX)) {
		fail(d, ERR_MALFORMED, f, "length past 2 GiB");
		return (-1);
	}
	return ((int32_t)(u - 1));
}

/* -1: null, and null is allowed here (or the decoder has failed). */
static int32_t
decode_length(struct decoder *d, const struct wire_field *f, unsigned type, bool nullable)
{
	int32_t n;

	if (field_compact(f, d->flexible))
		n = decode_compact_length(d, f);
	else
		n = type == WIRE_STR ? rd_i16(&d->r) : rd_i32(&d->r);
	if (n < 0) {
		if (!nullable)
			fail(d, ERR_MALFORMED, f, "null is not allowed");
		return (-1);
	}
	if (type == WIRE_STR && n > TEXT_MAX)
		fail(d, ERR_MALFORMED, f, "text above 32767 bytes");
	return (n);
}

static struct slice
decode_slice(struct decoder *d, const struct wire_field *f, unsigned type, bool nullable)
{
	int32_t n = decode_length(d, f, type, nullable);

	if (n < 0 || failed(d))
		return (SLICE_NULL);
	if (n == 0)
		return (SLICE_LIT(""));
	return (rd_slice(&d->r, (size_t)n));
}

static void
decode_records(struct decoder *d, const struct wire_field *f, struct chain *out)
{
	struct slice s = decode_slice(d, f, WIRE_RECORDS, field_nullable(f, d->version));

	chain_init(out);
	if (failed(d))
		return;
	out->null = s.p == NULL;
	if (s.len > 0 && !chain_add_mem(out, d->arena, s))
		fail(d, ERR_LIMIT, f, "the request's memory is used up");
}

/* n values of fixed width, which are there: the reader has them. */
static void
decode_fixed_run(unsigned type, const uint8_t *p, void *out, size_t n)
{
	switch (type) {
	case WIRE_BOOL:
		for (size_t i = 0; i < n; i++)
			((bool *)out)[i] = p[i] != 0;
		break;
	case WIRE_I8:
		memcpy(out, p, n);
		break;
	case WIRE_I16:
		for (size_t i = 0; i < n; i++)
			((uint16_t *)out)[i] = be16dec(p + 2 * i);
		break;
	case WIRE_I32:
		for (size_t i = 0; i < n; i++)
			((uint32_t *)out)[i] = be32dec(p + 4 * i);
		break;
	case WIRE_I64:
	case WIRE_F64:
		for (size_t i = 0; i < n; i++)
			((uint64_t *)out)[i] = be64dec(p + 8 * i);
		break;
	case WIRE_UUID:
		memcpy(out, p, 16 * n);
		break;
	default:
		unreachable("not of fixed width");
	}
}

static void
decode_fixed(struct decoder *d, unsigned type, void *out)
{
	const uint8_t *p = rd_take(&d->r, fixed_width(type));

	if (p != NULL)
		decode_fixed_run(type, p, out, 1);
}

/* Invariant (2): can the bytes left hold n elements? */
static bool
count_fits(const struct decoder *d, const struct wire_field *f, size_t n)
{
	size_t left = rd_left(&d->r);

	if (n > left)
		return (false);
	if (n <= SMALL_ARRAY)
		return (true);
	return (n <= left / MAX(wire_elem_min(f, d->version, d->flexible), 1));
}

static void
decode_elements(struct decoder *d, const struct wire_field *f, uint8_t *v, size_t n)
{
	size_t size = elem_size(f);
	const uint8_t *p;

	if (type_fixed(f->elem)) {
		p = rd_take(&d->r, n * size);
		if (p != NULL)
			decode_fixed_run(f->elem, p, v, n);
		return;
	}
	if (f->elem == WIRE_STRUCT)
		decode_structs(d, f->child, v, n);
	else
		for (size_t i = 0; i < n && !failed(d); i++, v += size)
			*(struct slice *)v = decode_slice(d, f, f->elem, false);
}

static void
decode_array(struct decoder *d, const struct wire_field *f, struct wire_array *out)
{
	int32_t n = decode_length(d, f, WIRE_ARRAY, field_nullable(f, d->version));
	void *v = NULL;

	*out = (struct wire_array){ NULL, n };
	if (n <= 0 || failed(d))
		return;
	if (!count_fits(d, f, (size_t)n)) {
		fail(d, ERR_MALFORMED, f, "more elements than bytes for them");
	} else if (n > LIMIT_ARRAY_COUNT_MAX) {
		fail(d, ERR_LIMIT, f, "too many elements");
	} else {
		v = arena_calloc(d->arena, (size_t)n, elem_size(f));
		if (v == NULL)
			fail(d, ERR_LIMIT, f, "the request's memory is used up");
	}
	if (v == NULL) {
		out->n = 0;
		return;
	}
	out->v = v;
	decode_elements(d, f, v, (size_t)n);
}

static void
decode_struct_ptr(struct decoder *d, const struct wire_field *f, void **out)
{
	*out = NULL;
	if (rd_i8(&d->r) < 0) {
		if (!field_nullable(f, d->version))
			fail(d, ERR_MALFORMED, f, "null is not allowed");
		return;
	}
	if (failed(d))
		return;
	*out = arena_calloc(d->arena, 1, f->child->size);
	if (*out == NULL)
		fail(d, ERR_LIMIT, f, "the request's memory is used up");
	else
		decode_struct(d, f->child, *out);
}

static void
decode_field(struct decoder *d, const struct wire_field *f, uint8_t *p)
{
	switch (f->type) {
	case WIRE_STR:
	case WIRE_BYTES:
		*(struct slice *)p = decode_slice(d, f, f->type, field_nullable(f, d->version));
		break;
	case WIRE_RECORDS:
		decode_records(d, f, (struct chain *)p);
		break;
	case WIRE_STRUCT:
		decode_struct(d, f->child, p);
		break;
	case WIRE_STRUCT_PTR:
		decode_struct_ptr(d, f, (void **)p);
		break;
	case WIRE_ARRAY:
		decode_array(d, f, (struct wire_array *)p);
		break;
	default:
		decode_fixed(d, f->type, p);
	}
}

static const struct wire_field *
find_tag(const struct wire_struct *s, uint32_t tag)
{
	if (s->n_tagged == 0)
		return (NULL);
	for (unsigned i = 0; i < s->n; i++)
		if (s->fields[i].tag != WIRE_NOTAG && (uint32_t)s->fields[i].tag == tag)
			return (&s->fields[i]);
	return (NULL);
}

static void
decode_known_tag(struct decoder *d, const struct wire_field *f, uint32_t size, uint8_t *base)
{
	const uint8_t *end = d->r.end;

	if (!field_present(f, d->version)) {
		fail(d, ERR_MALFORMED, f, "this version has no such tagged field");
		return;
	}
	d->r.end = d->r.p + size;
	decode_field(d, f, base + f->offset);
	if (d->r.p != d->r.end)
		fail(d, ERR_MALFORMED, f, "shorter than its tagged field");
	d->r.end = end;
}

static void
decode_tagged(struct decoder *d, const struct wire_struct *s, uint8_t *base)
{
	uint32_t n = rd_uvarint(&d->r), tag, size;

	if (UNLIKELY(n > LIMIT_TAGGED_FIELDS_MAX) && !failed(d)) {
		d->err = ERR_LIMIT;
		errbuf_set(d->eb, "%" PRIu32 " tagged fields", n);
	}
	for (; n > 0 && !failed(d); n--) {
		tag = rd_uvarint(&d->r);
		size = rd_uvarint(&d->r);
		if (d->r.bad || rd_left(&d->r) < size) {
			d->r.bad = true;
			return;
		}
		const struct wire_field *f = find_tag(s, tag);
		if (f == NULL)
			rd_take(&d->r, size);
		else
			decode_known_tag(d, f, size, base);
	}
}

/* Most text is short, and its length one byte. */
static inline struct slice
decode_text(struct decoder *d, const struct step *st)
{
	uint32_t len = st->compact && d->r.p != d->r.end ? *d->r.p : 0;		/* one more than it is: with the byte itself */
	const uint8_t *p;

	if (len == 0 || len > 0x7f || (p = rd_take(&d->r, len)) == NULL)
		return (decode_slice(d, st->f, st->type, st->nullable));
	return (len == 1 ? SLICE_LIT("") : slice_of(p + 1, len - 1));
}

static inline void
decode_step(struct decoder *d, const struct step *st, uint8_t *out)
{
	const uint8_t *p;

	switch (st->type) {
	case WIRE_BOOL:
		if ((p = rd_take(&d->r, 1)) != NULL)
			*(bool *)out = *p != 0;
		break;
	case WIRE_I8:
		*(int8_t *)out = rd_i8(&d->r);
		break;
	case WIRE_I16:
		*(int16_t *)out = rd_i16(&d->r);
		break;
	case WIRE_I32:
		*(int32_t *)out = rd_i32(&d->r);
		break;
	case WIRE_I64:
		*(int64_t *)out = rd_i64(&d->r);
		break;
	case WIRE_STR:
	case WIRE_BYTES:
		*(struct slice *)out = decode_text(d, st);
		break;
	case STEP_ABSENT:
		if (!field_default_is_zero(st->f))	/* invariants (3), (4) */
			wire_field_default(st->f, out);
		break;
	default:
		decode_field(d, st->f, out);
	}
}

static void
decode_by(struct decoder *d, const struct plan *plan, uint8_t *base)
{
	for (const struct step *st = plan->steps, *end = st + plan->n; st < end; st++) {
		decode_step(d, st, base + st->offset);
		if (UNLIKELY(failed(d)))
			goto out;
	}
	if (d->flexible)
		decode_tagged(d, plan->s, base);
out:
	if (UNLIKELY(d->err != OK))
		errbuf_add(d->eb, "%s", plan->s->name);
}

static void
decode_structs(struct decoder *d, const struct wire_struct *s, uint8_t *v, size_t n)
{
	struct plan plan;

	plan_make(&plan, s, d->version, d->flexible);
	for (size_t i = 0; i < n && !failed(d); i++)
		decode_by(d, &plan, v + i * s->size);
}

static void
decode_struct(struct decoder *d, const struct wire_struct *s, uint8_t *base)
{
	decode_structs(d, s, base, 1);
}

enum err
wire_decode(const struct wire_message *m, int version, struct slice *in, struct arena *arena, void *out, struct errbuf *eb)
{
	struct decoder d = { .r = reader_of(*in), .arena = arena, .eb = eb, .version = version, .flexible = message_flexible(m, version) };

	must(version >= m->first && version <= m->last);
	memset(out, 0, m->root->size);
	decode_struct(&d, m->root, out);
	if (d.err == OK && d.r.bad) {
		errbuf_set(eb, "%s version %d is cut short", m->name, version);
		d.err = ERR_MALFORMED;
	}
	if (d.err == OK)
		*in = slice_of(d.r.p, rd_left(&d.r));
	return (d.err);
}
