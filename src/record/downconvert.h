/* SPDX-License-Identifier: Apache-2.0
 *
 * record/downconvert.h - batches written again in an older format, for clients that know no newer one.
 *
 * What the older formats cannot say is lost: headers, producers, the mark of a transaction (so records of aborted ones are seen), leader epochs.
 * Control batches have no equal and vanish; so do batches that compaction left without records.  Offsets, timestamps (magic 1), keys and values stay.
 * A compressed batch becomes one wrapper with the same codec at its default level; one without compression becomes one message per record.
 * What already has the wanted magic, or an older one, is copied byte for byte.  Checksums of the source are not looked at, as in Kafka.
 *
 * Threads  Any, one codec_ctx per thread; compressed batches cost what inflating and deflating costs: use a worker.
 * Memory   What comes out (codec_out's cap bounds it), and one record.
 */
#ifndef RECORD_DOWNCONVERT_H
#define RECORD_DOWNCONVERT_H

#include <stdint.h>

#include "base/cdefs.h"
#include "base/err.h"
#include "base/slice.h"
#include "record/codec.h"

/* Appends to *out the whole batches in `batches` (a beginning of another behind them is left out), none of which has a magic above to_magic then.
 * to_magic: 0 or 1.  Records below first_offset are left out where every record is a message of its own anyway: a client that asks for the
 * middle of a batch gets nothing before it, and some rely on that.  Messages that are copied are not judged by it.
 *
 * ERR_UNSUPPORTED: zstd, which no older format may hold (or a codec that is not built in).  ERR_CORRUPT, ERR_MALFORMED: the source is damaged.
 * ERR_INVALID: offsets that do not ascend, or a negative timestamp, which cannot be written again.  ERR_LIMIT, ERR_NOMEM.
 * On an error *out is as it was before the call. */
enum err record_downconvert(struct codec_ctx *, struct slice batches, int8_t to_magic, int64_t first_offset, struct codec_out *out, struct errbuf *) MUST_CHECK;

#endif
