/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/producer_block.h - blocks of producer ids, from /latest_producer_id_block.
 *
 * The node names the block that was given out last; whoever replaces it by the one behind, under the version he read, owns that one.
 * Facts: ZkProducerIdManager and ProducerIdBlockZNode of Kafka 3.9.
 */
#ifndef ZK_PRODUCER_BLOCK_H
#define ZK_PRODUCER_BLOCK_H

#include "zk/client.h"
#include "zk/json.h"

enum { ZK_PRODUCER_BLOCK_SIZE = 1000 };

/* Takes the next block for this broker; it was given to nobody before and will be given to nobody else.  Asynchronous, on the client's loop,
 * answered once.  A block is lost, never given twice, when the connection or the session ends between its writing and the answer.
 * `why` is borrowed, never NULL, "" when OK.  Fields of the node that we do not know are kept.
 *   ERR_ZK_EXPIRED	the session ended in the middle: ask again
 *   ERR_MALFORMED	the node holds no block; nothing was written
 *   ERR_LIMIT		no ids are left in 63 bits */
typedef void zk_producer_block_fn(void *ctx, enum err, const struct zk_producer_id_block *, const struct errbuf *why);
void zk_producer_block_take(struct zk *, int32_t broker_id, zk_producer_block_fn *, void *ctx);

#endif
