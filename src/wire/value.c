/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/value.c - messages as values: defaults, allocation, release, and how small one can be; see walker.h.
 *
 * A default is what a field has in a version that does not carry it.  A null where the row never allows one counts as the default
 * too: it is what a structure holds that was zeroed and not initialised, and it says nothing.
 */
#include "wire/walker_int.h"

static void
put_number(unsigned type, void *p, int64_t x)
{
	switch (type) {
	case WIRE_BOOL: *(bool *)p = x != 0; break;
	case WIRE_I8:	*(int8_t *)p = (int8_t)x; break;
	case WIRE_I16:	*(int16_t *)p = (int16_t)x; break;
	case WIRE_I32:	*(int32_t *)p = (int32_t)x; break;
	case WIRE_I64:	*(int64_t *)p = x; break;
	case WIRE_F64:	*(double *)p = (double)x; break;
	default:	unreachable("not a number");
	}
}

void
wire_field_default(const struct wire_field *f, void *p)
{
	switch (f->type) {
	case WIRE_UUID:
		*(struct uuid *)p = UUID_ZERO;
		break;
	case WIRE_STR:
	case WIRE_BYTES:
		*(struct slice *)p = f->def == WIRE_NULL ? SLICE_NULL : SLICE_LIT("");
		break;
	case WIRE_RECORDS:
		chain_init(p);
		((struct chain *)p)->null = f->def == WIRE_NULL;
		break;
	case WIRE_STRUCT:
		wire_init(f->child, p);
		break;
	case WIRE_STRUCT_PTR:
		*(void **)p = NULL;
		break;
	case WIRE_ARRAY:
		*(struct wire_array *)p = (struct wire_array){ NULL, f->def == WIRE_NULL ? -1 : 0 };
		break;
	default:
		put_number(f->type, p, f->def);
	}
}

static bool
struct_is_default(const struct wire_struct *s, const uint8_t *base)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!wire_field_is_default(&s->fields[i], base + s->fields[i].offset))
			return (false);
	return (true);
}

static bool
slice_is_default(const struct wire_field *f, struct slice s)
{
	if (f->def == WIRE_NULL)
		return (s.p == NULL);
	return (s.len == 0 && (s.p != NULL || f->nullable_from == WIRE_NEVER));
}

static bool
array_is_default(const struct wire_field *f, int32_t n)
{
	if (f->def == WIRE_NULL)
		return (n < 0);
	return (n == 0 || (n < 0 && f->nullable_from == WIRE_NEVER));
}

bool
wire_field_is_default(const struct wire_field *f, const void *p)
{
	switch (f->type) {
	case WIRE_BOOL:	      return (*(const bool *)p == (f->def != 0));
	case WIRE_I8:	      return (*(const int8_t *)p == f->def);
	case WIRE_I16:	      return (*(const int16_t *)p == f->def);
	case WIRE_I32:	      return (*(const int32_t *)p == f->def);
	case WIRE_I64:	      return (*(const int64_t *)p == f->def);
	case WIRE_F64:	      return (*(const double *)p == (double)f->def);
	case WIRE_UUID:	      return (uuid_is_zero(*(const struct uuid *)p));
	case WIRE_STR:
	case WIRE_BYTES:      return (slice_is_default(f, *(const struct slice *)p));
	case WIRE_RECORDS:    return (((const struct chain *)p)->null == (f->def == WIRE_NULL) && ((const struct chain *)p)->len == 0);
	case WIRE_STRUCT:     return (struct_is_default(f->child, p));
	case WIRE_STRUCT_PTR: return (*(void *const *)p == NULL);
	case WIRE_ARRAY:      return (array_is_default(f, ((const struct wire_array *)p)->n));
	}
	unreachable("no such type");
}

void
wire_init(const struct wire_struct *s, void *p)
{
	uint8_t *base = p;

	for (unsigned i = 0; i < s->n; i++)
		wire_field_default(&s->fields[i], base + s->fields[i].offset);
}

void *
wire_new_array(const struct wire_struct *s, struct arena *arena, int32_t n)
{
	uint8_t *v;

	must(n >= 0);
	v = arena_calloc(arena, (size_t)n, s->size);
	if (v == NULL)
		return (NULL);
	for (const struct wire_field *f = s->fields; f < s->fields + s->n; f++)
		for (int32_t i = 0; i < n && !field_default_is_zero(f); i++)
			wire_field_default(f, v + (size_t)i * s->size + f->offset);
	return (v);
}

static void
drop_array(const struct wire_struct *s, const struct wire_array *a)
{
	for (int32_t i = 0; i < a->n; i++)
		wire_drop(s, (uint8_t *)a->v + (size_t)i * s->size);
}

void
wire_drop(const struct wire_struct *s, void *p)
{
	uint8_t *base = p, *at;

	for (unsigned i = 0; i < s->n; i++) {
		const struct wire_field *f = &s->fields[i];

		at = base + f->offset;
		if (f->type == WIRE_RECORDS)
			chain_fini((struct chain *)at);
		else if (f->type == WIRE_STRUCT)
			wire_drop(f->child, at);
		else if (f->type == WIRE_STRUCT_PTR && *(void **)at != NULL)
			wire_drop(f->child, *(void **)at);
		else if (f->type == WIRE_ARRAY && f->elem == WIRE_STRUCT)
			drop_array(f->child, (struct wire_array *)at);
	}
}

/* ---- the least a value takes ---- */

static size_t
type_min(unsigned type, bool compact)
{
	switch (type) {
	case WIRE_BOOL:
	case WIRE_I8:
	case WIRE_STRUCT_PTR:	return (1);
	case WIRE_I16:		return (2);
	case WIRE_I32:		return (4);
	case WIRE_I64:
	case WIRE_F64:		return (8);
	case WIRE_UUID:		return (16);
	case WIRE_STR:		return (compact ? 1 : 2);
	case WIRE_BYTES:
	case WIRE_RECORDS:
	case WIRE_ARRAY:	return (compact ? 1 : 4);
	default:		unreachable("a structure has no minimum of its own");
	}
}

size_t
wire_struct_min(const struct wire_struct *s, int version, bool flexible)
{
	size_t min = flexible ? 1 : 0;	/* the number of tagged fields */

	for (unsigned i = 0; i < s->n; i++) {
		const struct wire_field *f = &s->fields[i];

		if (!field_present(f, version) || f->tag != WIRE_NOTAG)
			continue;
		min += f->type == WIRE_STRUCT ? wire_struct_min(f->child, version, flexible) :
		    type_min(f->type, field_compact(f, flexible));
	}
	return (min);
}

size_t
wire_elem_min(const struct wire_field *f, int version, bool flexible)
{
	return (f->elem == WIRE_STRUCT ? wire_struct_min(f->child, version, flexible) : type_min(f->elem, field_compact(f, flexible)));
}
