/* SPDX-License-Identifier: Apache-2.0
 *
 * log/facts.c - what the producer map wants to know of a stored batch, and replaying batches into it.
 */
#include "log/log_int.h"

enum err
producer_facts(const struct batch_header *h, struct slice whole, struct producer_batch_facts *f, struct errbuf *eb)
{
	struct control_record c;
	enum err e;

	*f = (struct producer_batch_facts){
		.base_offset = h->base_offset,
		.last_offset = h->last_offset,
		.producer_id = h->magic >= 2 ? h->producer_id : BATCH_NO_PRODUCER,
		.max_timestamp_ms = h->max_timestamp,
		.base_sequence = h->base_sequence,
		.last_sequence = batch_last_sequence(h),
		.producer_epoch = h->producer_epoch,
		.transactional = batch_is_transactional(h),
		.control = batch_is_control(h),
	};
	if (!f->control || f->producer_id < 0 || h->record_count == 0)
		return (OK);
	e = batch_control_decode(whole, &c, eb);
	if (e != OK)
		return (e);
	f->marker = c.type == CONTROL_ABORT || c.type == CONTROL_COMMIT;
	f->marker_abort = c.type == CONTROL_ABORT;
	f->coordinator_epoch = c.coordinator_epoch;
	f->marker_timestamp_ms = h->max_timestamp;
	return (OK);
}

/* A control record that nobody can read, whatever ails it, ends no transaction; and is no reason to lose what stands behind it, or the directory. */
enum err
producer_replay(struct producer_state *ps, const struct batch_header *h, struct slice whole, struct txn_index *txns, struct errbuf *eb)
{
	struct producer_batch_facts f;
	struct completed_txn done;
	enum err e = OK;

	if (producer_facts(h, whole, &f, NULL) == OK && producer_state_apply(ps, &f, &done)) {
		if (txns != NULL && done.aborted) {
			const struct txn_entry te = { done.producer_id, done.first_offset, done.last_offset, producer_state_last_stable_after(ps, &done) };

			e = txn_index_append(txns, &te, eb);
		}
		producer_state_complete(ps, &done);
	}
	producer_state_set_end(ps, h->last_offset + 1);
	return (e);
}
