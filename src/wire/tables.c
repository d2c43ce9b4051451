/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/tables.c - the rows of messages.def as descriptors, see schema.h.
 *
 * The rows are read three times here: to count the tagged fields of each structure (an enum, so that it is a constant), for the
 * field and structure descriptors, and for the list of messages.  The compiler checks every name: a row that mentions a field or a
 * child that does not exist does not compile.
 */
#include "base/cdefs.h"
#include "wire/messages.h"

#define LAST	WIRE_LAST
#define NEVER	WIRE_NEVER
#define NOTAG	WIRE_NOTAG

/* ---- how many fields of a structure are tagged ---- */
#define TAGGED(tag)			+ ((tag) != NOTAG)
#define S(name)				enum { TAGGED_##name = 0
#define F(s, t, f, since, until, tag, ...)	TAGGED(tag)
#define O(s, c, f, since, until, tag, ...)	TAGGED(tag)
#define N(s, c, f, since, until, tag, ...)	TAGGED(tag)
#define AV(s, t, f, since, until, tag, ...)	TAGGED(tag)
#define AS(s, c, f, since, until, tag, ...)	TAGGED(tag)
#define E(name)				};
#define MSG(...)
#include "wire/messages.def"
#undef S
#undef F
#undef O
#undef N
#undef AV
#undef AS
#undef E
#undef MSG

/* ---- descriptors ---- */
#define IGNORABLE	WIRE_IGNORABLE
#define CLASSIC		WIRE_CLASSIC
#define SECRET		WIRE_SECRET
#define EMPTY		WIRE_EMPTY
#define NIL		WIRE_NULL
#define ROW(s, t, e, kid, f, since_, until_, tag_, null_, flags_, def_) \
	{ .name = #f, .child = kid, .def = (def_), .since = since_, .until = until_, .nullable_from = null_, \
	  .offset = offsetof(struct wire_##s, f), .type = t, .elem = e, .tag = tag_, .flags = flags_ },
#define S(s)			static const struct wire_field fields_##s[] = {
#define F(s, t, f, ...)		ROW(s, WIRE_##t, WIRE_##t, NULL, f, __VA_ARGS__)
#define O(s, c, f, ...)		ROW(s, WIRE_STRUCT, WIRE_STRUCT, &wire_struct_##c, f, __VA_ARGS__)
#define N(s, c, f, ...)		ROW(s, WIRE_STRUCT_PTR, WIRE_STRUCT_PTR, &wire_struct_##c, f, __VA_ARGS__)
#define AV(s, t, f, ...)	ROW(s, WIRE_ARRAY, WIRE_##t, NULL, f, __VA_ARGS__)
#define AS(s, c, f, ...)	ROW(s, WIRE_ARRAY, WIRE_STRUCT, &wire_struct_##c, f, __VA_ARGS__)
#define E(s) }; \
	const struct wire_struct wire_struct_##s = { \
		.name = #s, .fields = fields_##s, .n = NELEM(fields_##s), .n_tagged = TAGGED_##s, .size = sizeof(struct wire_##s) };
#define MSG(m, key_, direction_, first_, last_, flexible) \
	const struct wire_message wire_msg_##m = { \
		.name = #m, .root = &wire_struct_##m, .key = key_, .first = first_, .last = last_, .flexible_from = flexible, \
		.direction = WIRE_##direction_ };
#include "wire/messages.def"
#undef S
#undef F
#undef O
#undef N
#undef AV
#undef AS
#undef E
#undef MSG

/* ---- the list ---- */
#define S(...)
#define F(...)
#define O(...)
#define N(...)
#define AV(...)
#define AS(...)
#define E(...)
#define MSG(m, ...)	&wire_msg_##m,
const struct wire_message *const wire_messages[] = {
#include "wire/messages.def"
};
const size_t wire_messages_n = NELEM(wire_messages);
#undef S
#undef F
#undef O
#undef N
#undef AV
#undef AS
#undef E
#undef MSG

static const struct {
	const char	*name;
	size_t		 size;
} types[] = {
	[WIRE_BOOL]	  = { "BOOL", sizeof(bool) },
	[WIRE_I8]	  = { "I8", sizeof(int8_t) },
	[WIRE_I16]	  = { "I16", sizeof(int16_t) },
	[WIRE_I32]	  = { "I32", sizeof(int32_t) },
	[WIRE_I64]	  = { "I64", sizeof(int64_t) },
	[WIRE_F64]	  = { "F64", sizeof(double) },
	[WIRE_UUID]	  = { "UUID", sizeof(struct uuid) },
	[WIRE_STR]	  = { "STR", sizeof(struct slice) },
	[WIRE_BYTES]	  = { "BYTES", sizeof(struct slice) },
	[WIRE_RECORDS]	  = { "RECORDS", sizeof(struct chain) },
	[WIRE_STRUCT]	  = { "STRUCT", 0 },
	[WIRE_STRUCT_PTR] = { "STRUCT_PTR", sizeof(void *) },
	[WIRE_ARRAY]	  = { "ARRAY", sizeof(struct wire_array) },
};

size_t
wire_type_size(enum wire_type t)
{
	return (types[t].size);
}

const char *
wire_type_name(enum wire_type t)
{
	return (types[t].name);
}
