/* SPDX-License-Identifier: Apache-2.0
 *
 * record/record_int.h - shared by the walkers.
 */
#ifndef RECORD_RECORD_INT_H
#define RECORD_RECORD_INT_H

#include "record/record.h"

/* A legacy message from its checksum on, as inner messages come out of a stream.  m->offset and m->size are not touched. */
enum err legacy_body_decode(struct slice from_crc, struct legacy_message *m);

/* record.c: bytes out of the iterator's stream. */
enum err record_iter_open(struct record_iter *, struct slice body, struct errbuf *);
/* n bytes in one piece, borrowed or gathered, valid until the next call; ERR_NOTFOUND: the stream ends before. */
enum err record_iter_take(struct record_iter *, size_t n, const uint8_t **p, struct errbuf *);

/* legacy.c */
enum err legacy_iter_init(struct record_iter *, struct errbuf *);
enum err legacy_iter_next(struct record_iter *, struct record *, struct errbuf *);

#endif
