/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/walker.h - one walker over the tables: decode, encode, measure, print, invent and initialise any message.
 *
 * `version` is always one of the message's versions (first..last): anything else is our bug and asserts; frame.h has turned the
 * versions that peers ask for into errors before.
 *
 * Ownership  Decoded strings, bytes and records borrow from the input; arrays and nullable structures live in the arena.  Encoded
 *            memory lives in the arena too.  A file range in a `records` chain belongs to the message until wire_encode succeeds, then
 *            to the output chain.
 * Threads    Any; nothing is shared.
 * Failure    ERR_MALFORMED     the bytes are not such a message (text: where)
 *            ERR_LIMIT         a limit of base/limits.def, the arena's cap, or 2 GiB of message
 *            ERR_UNSUPPORTED   encode: a field that may not be ignored has a value, and this version cannot carry it
 *            ERR_INVALID       encode: null where null is not allowed, text above 32767 bytes
 *            After an error the output has no meaning, but may be passed to wire_drop.
 */
#ifndef WIRE_WALKER_H
#define WIRE_WALKER_H

#include "base/arena.h"
#include "base/chain.h"
#include "base/err.h"
#include "base/random.h"
#include "base/str.h"
#include "wire/messages.h"

/* Sets every field, also those of embedded structures, to its default: numbers as in the rows, text empty, records null. */
void wire_init(const struct wire_struct *, void *);

/* Zeroed and initialised in the arena; NULL when it is full.  The macros give them their type:
 *	struct wire_fetch_response *r = WIRE_NEW(arena, fetch_response);
 *	struct wire_fetch_response_topic *t = WIRE_NEW_ARRAY(arena, fetch_response_topic, 3); */
void *wire_new_array(const struct wire_struct *, struct arena *, int32_t n);
#define WIRE_NEW(arena, name)		((struct wire_##name *)wire_new_array(&wire_struct_##name, (arena), 1))
#define WIRE_NEW_ARRAY(arena, name, n)	((struct wire_##name *)wire_new_array(&wire_struct_##name, (arena), (n)))
#define WIRE_INIT(name, p)		wire_init(&wire_struct_##name, (1 ? (p) : (struct wire_##name *)NULL))

/* Reads one message from the front of *in into *out (root structure of the message, overwritten) and moves *in behind it.  What
 * follows is the caller's to judge: Kafka's server ignores it. */
enum err wire_decode(const struct wire_message *, int version, struct slice *in, struct arena *, void *out, struct errbuf *) MUST_CHECK;

/* Bytes that wire_encode would append; the same errors. */
enum err wire_size(const struct wire_message *, int version, const void *msg, uint64_t *sizep, struct errbuf *) MUST_CHECK;

/* Appends the message to *out: memory items around the items of its records chains, which move out of the message. */
enum err wire_encode(const struct wire_message *, int version, void *msg, struct arena *, struct chain *out, struct errbuf *) MUST_CHECK;

/* Releases the file ranges that a message still holds: a response that will not be sent. */
void wire_drop(const struct wire_struct *, void *);

/* One line of text for traces: {topic: "t", partitions: [{partition: 0, ...}]}; only what the version carries.  Bytes and records
 * show as their length, fields marked SECRET not at all.  At most len_max bytes of text, then "...". */
void wire_dump(const struct wire_message *, int version, const void *msg, size_t len_max, struct strbuf *);

/* A random message that this version can carry, every field of it used sooner or later.  NULL: arena full. */
void *wire_random(const struct wire_message *, int version, struct random *, struct arena *);

#endif
