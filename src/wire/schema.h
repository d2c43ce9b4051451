/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/schema.h - what the tables of the protocol say: fields, structures, messages, as constant descriptors.
 *
 * The rows of wire/messages.def expand to the C structures in wire/messages.h and to these descriptors; wire/walker.h reads them to
 * decode, encode, measure, print and invent messages.  Nothing here is ever written to at run time.
 */
#ifndef WIRE_SCHEMA_H
#define WIRE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chain.h"
#include "base/slice.h"
#include "base/uuid.h"

/* How one value looks on the wire, and in C.  Types of fixed width come first, up to WIRE_UUID.
 *
 *	BOOL bool	I8 I16 I32 I64	int8_t ... int64_t	F64 double	UUID struct uuid
 *	STR, BYTES	struct slice into the receive buffer; p == NULL is Kafka's null
 *	RECORDS		struct chain; decoding gives one memory item into the receive buffer; .null is Kafka's null
 *	STRUCT		the structure itself
 *	STRUCT_PTR	a pointer to it; NULL is Kafka's null
 *	ARRAY		{ T *v; int32_t n; }; n == -1 is Kafka's null */
enum wire_type {
	WIRE_BOOL, WIRE_I8, WIRE_I16, WIRE_I32, WIRE_I64, WIRE_F64, WIRE_UUID,
	WIRE_STR, WIRE_BYTES, WIRE_RECORDS, WIRE_STRUCT, WIRE_STRUCT_PTR, WIRE_ARRAY
};

enum {
	WIRE_LAST	= INT16_MAX,	/* until: still in the newest version */
	WIRE_NEVER	= INT16_MAX,	/* nullable_from, flexible_from: in no version */
	WIRE_NOTAG	= -1
};

enum wire_flags {
	WIRE_IGNORABLE	= 1 << 0,	/* silently left out where the version cannot carry it */
	WIRE_CLASSIC	= 1 << 1,	/* keeps the 16-bit length even in flexible versions (client_id) */
	WIRE_SECRET	= 1 << 2	/* never printed by wire_dump */
};

/* Default of types that have no number: strings, bytes, records, arrays, structures. */
enum { WIRE_EMPTY = 0, WIRE_NULL = 1 };

struct wire_struct;

struct wire_field {
	const char		 *name;
	const struct wire_struct *child;	/* STRUCT, STRUCT_PTR, ARRAY of STRUCT; else NULL */
	int64_t			  def;		/* number, or WIRE_EMPTY / WIRE_NULL */
	int16_t			  since, until;	/* versions that carry it, both included */
	int16_t			  nullable_from;	/* first version where null is allowed, or WIRE_NEVER */
	uint16_t		  offset;	/* in the C structure */
	uint8_t			  type;		/* enum wire_type */
	uint8_t			  elem;		/* enum wire_type of the elements of an ARRAY, else of the field */
	int8_t			  tag;		/* WIRE_NOTAG, or the tag it has in every version that carries it */
	uint8_t			  flags;	/* enum wire_flags */
};

struct wire_struct {
	const char		*name;		/* "fetch_request_partition" */
	const struct wire_field	*fields;
	uint16_t		 n;
	uint16_t		 n_tagged;	/* how many of them have a tag */
	uint32_t		 size;		/* sizeof the C structure */
};

enum wire_direction { WIRE_REQUEST, WIRE_RESPONSE, WIRE_HEADER };

struct wire_message {
	const char		 *name;		/* "fetch_request" */
	const struct wire_struct *root;
	int16_t			  key;		/* API key; -1 for headers */
	int16_t			  first, last;	/* versions that a Kafka 3.9.1 broker advertises in ZooKeeper mode */
	int16_t			  flexible_from;	/* first version with compact lengths and tagged fields, or WIRE_NEVER */
	enum wire_direction	  direction;
};

/* The head of every ARRAY field, whatever it holds. */
struct wire_array {
	void	*v;
	int32_t	 n;
};

struct wire_bool_array	{ bool *v; int32_t n; };
struct wire_i8_array	{ int8_t *v; int32_t n; };
struct wire_i16_array	{ int16_t *v; int32_t n; };
struct wire_i32_array	{ int32_t *v; int32_t n; };
struct wire_i64_array	{ int64_t *v; int32_t n; };
struct wire_uuid_array	{ struct uuid *v; int32_t n; };
struct wire_str_array	{ struct slice *v; int32_t n; };

size_t wire_type_size(enum wire_type);		/* of one value in C; 0 for STRUCT, whose size its wire_struct knows */
const char *wire_type_name(enum wire_type);	/* "I32" */

/* Every message, requests and responses by key, then the headers: for checks and tests. */
extern const struct wire_message *const wire_messages[];
extern const size_t wire_messages_n;

#endif
