/* SPDX-License-Identifier: Apache-2.0
 *
 * log/lines_int.h - Kafka's checkpoint files (CheckpointFile): version line, count line, that many lines.
 */
#ifndef LOG_LINES_INT_H
#define LOG_LINES_INT_H

#include "base/fs.h"

struct line_file {
	const char  *path;	/* the caller's */
	char	    *text;
	struct slice left;
	int64_t	     count;	/* lines announced */
	int64_t	     seen;
};

/* Reads the file and its two head lines.  ERR_CORRUPT: another version, no count.  A file of zero bytes has no lines. */
enum err line_file_open(struct fs *, const char *path, int32_t version, struct line_file *, struct errbuf *) MUST_CHECK;
bool	 line_file_next(struct line_file *, struct slice *line);	/* without its newline */
enum err line_file_bad(const struct line_file *, struct errbuf *);	/* "this line is not ..." */
enum err line_file_end(const struct line_file *, struct errbuf *) MUST_CHECK;	/* as many as announced? */
void	 line_file_close(struct line_file *);

bool	 line_field(struct slice *line, struct slice *field);	/* up to the next blank; false: none left */

#endif
