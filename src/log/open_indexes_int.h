/* SPDX-License-Identifier: Apache-2.0
 *
 * log/open_indexes_int.h - how many active segments keep their two index files open.
 *
 * An index entry is due once in index.interval.bytes of a partition; a broker of ten thousand partitions would hold twenty thousand descriptors for
 * it, where Java has none (it writes through its mappings), and a limit of open files that serves Java would not serve us.  So the segments that
 * have written least recently give theirs up, and open them again when entries are to be written: several at once (index.c, THE TAIL).
 *
 * Use        Whoever works on the indexes of an active segment does so between hold and release; in between the files stay open.  May be nested.
 *            A new active segment is held and released once: then it counts.
 * Threads    hold and release: the segment's owner.  Files are closed by whoever's release finds too many, of segments that nobody holds.
 * Failure    hold: what opening a file says (no descriptor left: ERR_NOSPACE); then nothing is held.
 * Memory     Nothing of its own: the list goes through the segments.  One that is freed leaves it (open_indexes_forget).
 */
#ifndef LOG_OPEN_INDEXES_INT_H
#define LOG_OPEN_INDEXES_INT_H

#include <sys/queue.h>

#include "base/fs.h"
#include "base/lock.h"

struct segment;

struct open_indexes {
	struct lock	lock;
	TAILQ_HEAD(, segment) list;	/* with open files; the one released last stands last */
	uint32_t	n, max;		/* segments */
};

void	 open_indexes_init(struct open_indexes *, uint32_t max);	/* max >= 1, 0: as many as there are */
void	 open_indexes_fini(struct open_indexes *);		/* no segment is left in it */

enum err open_indexes_hold(struct segment *, struct errbuf *) MUST_CHECK;
void	 open_indexes_release(struct segment *);
enum err open_indexes_count(struct segment *, struct errbuf *) MUST_CHECK;	/* hold and release */
void	 open_indexes_forget(struct segment *);			/* closes its files; nobody holds it */

#endif
