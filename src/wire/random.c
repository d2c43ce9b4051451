/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/random.c - valid random messages for property tests and fuzz seeds, see walker.h.
 *
 * Only fields that the version carries get values; the others keep their defaults, so that what is encoded can be read back equal.
 * Numbers lean to the ends of their range, text and arrays are short, nulls appear wherever they may.
 */
#include "wire/walker_int.h"

enum {
	TEXT_LEN	= 20,		/* bytes; mostly less */
	LONG_TEXT_LEN	= 400,		/* rarely: lengths of two bytes in compact form */
	ARRAY_LEN	= 3,
	RARELY		= 16		/* one in */
};

struct maker {
	struct random	*random;
	struct arena	*arena;
	int		 version;
	bool		 full;
};

static void make_struct(struct maker *, const struct wire_struct *, uint8_t *);

static bool
one_in(struct maker *m, uint32_t n)
{
	return (random_below(m->random, n) == 0);
}

static uint64_t
make_bits(struct maker *m)
{
	static const uint64_t ends[] = { 0, 1, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, INT32_MAX, 0x80, 0x7f, 0x7fff, 0x8000 };

	if (one_in(m, 3))
		return (ends[random_below(m->random, NELEM(ends))]);
	return (random_u64(m->random));
}

static void
make_number(struct maker *m, unsigned type, void *p)
{
	uint64_t x = make_bits(m);

	switch (type) {
	case WIRE_BOOL:	*(bool *)p = (x & 1) != 0; break;
	case WIRE_F64:	*(double *)p = (double)(int64_t)x / 256; break;
	case WIRE_UUID:	m->random->fill(m->random, p, sizeof(struct uuid)); break;
	default:	memcpy(p, &x, wire_type_size(type));	/* the low bytes */
	}
}

static struct slice
make_bytes(struct maker *m, bool text)
{
	size_t n = random_below(m->random, one_in(m, RARELY) ? LONG_TEXT_LEN : TEXT_LEN);
	uint8_t *p = arena_alloc(m->arena, n + 1);

	if (p == NULL) {
		m->full = true;
		return (SLICE_LIT(""));
	}
	m->random->fill(m->random, p, n);
	for (size_t i = 0; text && i < n; i++)
		p[i] = (uint8_t)(' ' + p[i] % 95);
	return (slice_of(p, n));
}

static void
make_records(struct maker *m, struct chain *out, bool nullable)
{
	struct slice s;

	chain_init(out);
	if (nullable && one_in(m, 4)) {
		out->null = true;
		return;
	}
	s = make_bytes(m, false);
	if (s.len > 0 && !chain_add_mem(out, m->arena, s))
		m->full = true;
}

static void
make_value(struct maker *m, const struct wire_field *f, unsigned type, void *p)
{
	if (type_fixed(type))
		make_number(m, type, p);
	else if (type == WIRE_STRUCT)
		make_struct(m, f->child, p);
	else
		*(struct slice *)p = make_bytes(m, type == WIRE_STR);
}

static void
make_array(struct maker *m, const struct wire_field *f, struct wire_array *a, bool null)
{
	uint8_t *v;
	int32_t n = (int32_t)random_below(m->random, ARRAY_LEN + 1);

	*a = (struct wire_array){ NULL, null ? -1 : 0 };
	if (null || n == 0)
		return;
	v = arena_calloc(m->arena, (size_t)n, elem_size(f));
	if (v == NULL) {
		m->full = true;
		return;
	}
	*a = (struct wire_array){ v, n };
	for (int32_t i = 0; i < n; i++, v += elem_size(f))
		make_value(m, f, f->elem, v);
}

static void
make_struct_ptr(struct maker *m, const struct wire_field *f, void **p)
{
	*p = arena_calloc(m->arena, 1, f->child->size);
	if (*p == NULL)
		m->full = true;
	else
		make_struct(m, f->child, *p);
}

static void
make_field(struct maker *m, const struct wire_field *f, void *p)
{
	bool null = field_nullable(f, m->version) && one_in(m, 4);

	if (f->type == WIRE_RECORDS)
		make_records(m, p, field_nullable(f, m->version));
	else if (f->type == WIRE_ARRAY)
		make_array(m, f, p, null);
	else if (f->type == WIRE_STRUCT_PTR && !null)
		make_struct_ptr(m, f, p);
	else if (f->type == WIRE_STRUCT_PTR)
		*(void **)p = NULL;
	else if (null)
		*(struct slice *)p = SLICE_NULL;
	else
		make_value(m, f, f->type, p);
}

static void
make_struct(struct maker *m, const struct wire_struct *s, uint8_t *base)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct wire_field *f = &s->fields[i];

		wire_field_default(f, base + f->offset);
		if (field_present(f, m->version) && !(f->tag != WIRE_NOTAG && one_in(m, 3)) && !m->full)
			make_field(m, f, base + f->offset);
	}
}

void *
wire_random(const struct wire_message *msg, int version, struct random *random, struct arena *arena)
{
	struct maker m = { .random = random, .arena = arena, .version = version };
	uint8_t *p = arena_calloc(arena, 1, msg->root->size);

	must(version >= msg->first && version <= msg->last);
	if (p == NULL)
		return (NULL);
	make_struct(&m, msg->root, p);
	return (m.full ? NULL : p);
}
