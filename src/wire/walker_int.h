/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/walker_int.h - what the parts of the walker share.
 */
#ifndef WIRE_WALKER_INT_H
#define WIRE_WALKER_INT_H

#include "base/must.h"
#include "wire/walker.h"

static inline bool
field_present(const struct wire_field *f, int version)
{
	return (version >= f->since && version <= f->until);
}

static inline bool
field_nullable(const struct wire_field *f, int version)
{
	return (version >= f->nullable_from);
}

static inline bool
message_flexible(const struct wire_message *m, int version)
{
	return (version >= m->flexible_from);
}

/* 16- or 32-bit lengths, or the compact ones of flexible versions? */
static inline bool
field_compact(const struct wire_field *f, bool flexible)
{
	return (flexible && (f->flags & WIRE_CLASSIC) == 0);
}

static inline bool
type_fixed(unsigned t)
{
	return (t <= WIRE_UUID);
}

/* Bytes of a type of fixed width: the same in C and on the wire. */
static inline size_t
fixed_width(unsigned t)
{
	static const uint8_t width[] = {
		[WIRE_BOOL] = 1, [WIRE_I8] = 1, [WIRE_I16] = 2, [WIRE_I32] = 4, [WIRE_I64] = 8, [WIRE_F64] = 8, [WIRE_UUID] = 16 };

	return (width[t]);
}

/* Of one element of an array, in C. */
static inline size_t
elem_size(const struct wire_field *f)
{
	return (f->elem == WIRE_STRUCT ? f->child->size : wire_type_size(f->elem));
}

/* Then zeroed memory has the default. */
static inline bool
field_default_is_zero(const struct wire_field *f)
{
	return (type_fixed(f->type) && f->def == 0);
}

/* One field to its default, whatever stood there. */
void wire_field_default(const struct wire_field *, void *p);
bool wire_field_is_default(const struct wire_field *, const void *p);

/* The fewest bytes that a value can take on the wire in this version. */
size_t wire_struct_min(const struct wire_struct *, int version, bool flexible);
size_t wire_elem_min(const struct wire_field *, int version, bool flexible);

/* What a version makes of a structure: worked out once for all elements of an array.  Absent are fields that the version does not carry, and for
 * decoding tagged ones until their tag comes; what zeroed memory says of them is no step. */
enum { STEPS_MAX = 48, STEP_ABSENT = WIRE_ARRAY + 1 };

struct step {
	const struct wire_field *f;
	uint32_t offset;
	uint8_t	 type;		/* enum wire_type, or STEP_ABSENT */
	bool	 nullable, compact;
};

struct plan {
	const struct wire_struct *s;
	unsigned    n;
	struct step steps[STEPS_MAX];
};

static inline void
plan_make(struct plan *p, const struct wire_struct *s, int version, bool flexible)
{
	p->s = s;
	p->n = 0;
	must(s->n <= STEPS_MAX);
	for (const struct wire_field *f = s->fields, *end = f + s->n; f < end; f++) {
		bool there = field_present(f, version);

		if (f->tag == WIRE_NOTAG || !there || !field_default_is_zero(f))
			p->steps[p->n++] = (struct step){ f, f->offset, there && f->tag == WIRE_NOTAG ? (uint8_t)f->type : STEP_ABSENT, field_nullable(f, version),
			    field_compact(f, flexible) };
	}
}

/* Several messages behind each other in one buffer: a header and its body.  With a frame, 4 bytes of length stand in front. */
struct wire_part {
	const struct wire_message *message;
	int			   version;
	void			  *msg;
};
enum err wire_encode_parts(const struct wire_part *, size_t n, bool frame, struct arena *, struct chain *out, struct errbuf *) MUST_CHECK;

#endif
