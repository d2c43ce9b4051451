/* SPDX-License-Identifier: Apache-2.0
 *
 * group/tables.h - uthash for src/group: a group has half a dozen tables of a few entries each, and there are thousands of groups, so a table begins
 * with 4 buckets (64 bytes, not 512) and grows with what it holds, before anyone has to walk a chain: each step of one is a miss of the cache, and a
 * heartbeat is little more than such steps.  Ids and names come from peers: every hash is keyed per process.
 */
#ifndef GROUP_TABLES_H
#define GROUP_TABLES_H

#include <uthash.h>

#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS	4U
#define HASH_INITIAL_NUM_BUCKETS_LOG2	2U
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH	4U	/* as many in one bucket double the table; 10 by default */

/* uthash takes two doublings that did not help for a bad hash, and never doubles again.  In tables that begin so small it is chance, and what grows
 * later would be a list.  So it goes on, up to 64 buckets for each entry: that many tell a bad hash from a bad moment. */
#undef uthash_noexpand_fyi
#define uthash_noexpand_fyi(tbl) \
	((tbl)->noexpand = (tbl)->num_buckets / 64 > (tbl)->num_items, (tbl)->ineff_expands = (tbl)->noexpand)

#endif
