/* SPDX-License-Identifier: Apache-2.0
 *
 * record/record_int.h - shared by the walkers.
 */
#ifndef RECORD_RECORD_INT_H
#define RECORD_RECORD_INT_H

#include "record/record.h"

/* A legacy message from its checksum on, as inner messages come out of a stream.  m->offset and m->size are not touched.
 * ERR_MALFORMED: its parts do not fit into it.  ERR_UNSUPPORTED: they fit, but the magic is neither 0 nor 1. */
enum err legacy_body_decode(struct slice from_crc, struct legacy_message *m);
bool legacy_body_crc_ok(struct slice from_crc);		/* at least four bytes */

/* record.c: bytes out of the iterator's stream. */
enum err record_iter_open(struct record_iter *, struct slice body, struct errbuf *);
/* n bytes in one piece, borrowed or gathered, valid until the next call; ERR_NOTFOUND: the stream ends before. */
enum err record_iter_take(struct record_iter *, size_t n, const uint8_t **p, struct errbuf *);

/* legacy.c */
enum err legacy_iter_init(struct record_iter *, struct errbuf *);
enum err legacy_iter_next(struct record_iter *, struct record *, struct errbuf *);
/* The next message of a wrapper from its checksum on (LEGACY_BODY_MIN bytes at least), parts and checksum unseen; valid until the next call.
 * ERR_NOTFOUND: the end; a message cut short is one too.  ERR_INVALID: a length below the smallest. */
enum { LEGACY_BODY_MIN = LEGACY_V0_OVERHEAD - BATCH_LOG_OVERHEAD };
enum err legacy_inner_next(struct record_iter *, int64_t *offset, struct slice *from_crc, struct errbuf *);

#endif
