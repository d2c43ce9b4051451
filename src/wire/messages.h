/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/messages.h - the rows of the tables as C: struct wire_fetch_request, ... and their descriptors.
 *
 * struct wire_<name>			a request, response or a structure inside one; its fields stand in the .def files
 * wire_msg_<message>			its struct wire_message
 * wire_struct_<name>			its struct wire_struct
 * WIRE_FIRST_<message>, WIRE_LAST_<message>, WIRE_FLEXIBLE_<message>	its versions
 */
#ifndef WIRE_MESSAGES_H
#define WIRE_MESSAGES_H

#include "wire/schema.h"

#define WIRE_C_BOOL	bool
#define WIRE_C_I8	int8_t
#define WIRE_C_I16	int16_t
#define WIRE_C_I32	int32_t
#define WIRE_C_I64	int64_t
#define WIRE_C_F64	double
#define WIRE_C_UUID	struct uuid
#define WIRE_C_STR	struct slice
#define WIRE_C_BYTES	struct slice
#define WIRE_C_RECORDS	struct chain
#define WIRE_AC_BOOL	struct wire_bool_array
#define WIRE_AC_I8	struct wire_i8_array
#define WIRE_AC_I16	struct wire_i16_array
#define WIRE_AC_I32	struct wire_i32_array
#define WIRE_AC_I64	struct wire_i64_array
#define WIRE_AC_UUID	struct wire_uuid_array
#define WIRE_AC_STR	struct wire_str_array

#define S(name)				struct wire_##name {
#define F(s, t, field, ...)		WIRE_C_##t field;
#define O(s, child, field, ...)		struct wire_##child field;
#define N(s, child, field, ...)		struct wire_##child *field;
#define AV(s, t, field, ...)		WIRE_AC_##t field;
#define AS(s, child, field, ...)	struct { struct wire_##child *v; int32_t n; } field;
#define E(name)				};
#define MSG(name, ...)
#include "wire/messages.def"
#undef S
#undef F
#undef O
#undef N
#undef AV
#undef AS
#undef E
#undef MSG

#define S(name)				extern const struct wire_struct wire_struct_##name;
#define F(...)
#define O(...)
#define N(...)
#define AV(...)
#define AS(...)
#define E(name)
#define MSG(name, key, direction, first, last, flexible) \
	extern const struct wire_message wire_msg_##name; \
	enum { WIRE_FIRST_##name = first, WIRE_LAST_##name = last, WIRE_FLEXIBLE_##name = flexible };
#define NEVER				WIRE_NEVER
#include "wire/messages.def"
#undef S
#undef F
#undef O
#undef N
#undef AV
#undef AS
#undef E
#undef MSG
#undef NEVER

#endif
