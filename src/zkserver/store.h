/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/store.h - the tree on disk: one SQLite database, written in batches.
 *
 *	meta(key, value)	zxid, next_session, secret
 *	session(id, timeout_ms, own)
 *	node(path, data, acl, czxid, mzxid, pzxid, ctime, mtime, version, aversion, creates, owner)
 * application_id OTTL, user_version 1.  WAL, synchronous = FULL, locked by its one process.  The file layer is base/fs.h (vfs.c).
 *
 * Ownership  A batch is filled by one thread and written by another, never at once.
 * Threads    One at a time.  Every call but batch_* may block.
 * Failure    After a failed write the store is closed for good: nothing is known of the batch until it is opened again.
 */
#ifndef ZKSERVER_STORE_H
#define ZKSERVER_STORE_H

#include "base/err.h"
#include "base/fs.h"
#include "base/random.h"
#include "zk/tree.h"

enum { STORE_SECRET_LEN = 32 };

struct store;
struct store_batch;

struct store_counters {
	int64_t zxid, next_session;
};

/* What is not OK ends the reading; the words in the errbuf say how the row contradicts those before it. */
struct store_reader {
	void *ctx;
	enum err (*counters)(void *ctx, const struct store_counters *, const uint8_t secret[STORE_SECRET_LEN], struct errbuf *);	/* first */
	enum err (*session)(void *ctx, int64_t id, int32_t timeout_ms, bool own, struct errbuf *);				/* then these */
	enum err (*node)(void *ctx, const char *path, const struct zk_tree_node *, struct errbuf *);				/* then these, parents first */
};

/* Opens, or makes, with a secret of its own and no node.  The errbuf says what is wrong with a file that is refused. */
enum err store_open(struct fs *, struct random *, const char *path, struct store **, struct errbuf *) MUST_CHECK;
enum err store_read(struct store *, const struct store_reader *, struct errbuf *) MUST_CHECK;
void	 store_close(struct store **);

/* Later words about the same path or session win. */
struct store_batch *store_batch_new(void);
void	 store_batch_node(struct store_batch *, const char *path, const struct zk_tree_node *);	/* NULL: it is gone */
void	 store_batch_session(struct store_batch *, int64_t id, int32_t timeout_ms, bool own);
void	 store_batch_session_gone(struct store_batch *, int64_t id);
void	 store_batch_counters(struct store_batch *, const struct store_counters *);
void	 store_batch_free(struct store_batch **);

enum err store_write(struct store *, const struct store_batch *, struct errbuf *) MUST_CHECK;	/* all of it, on disk when it returns */

#endif
