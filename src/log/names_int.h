/* SPDX-License-Identifier: Apache-2.0
 *
 * log/names_int.h - names of the files and directories of a log; names.c has the table.
 */
#ifndef LOG_NAMES_INT_H
#define LOG_NAMES_INT_H

#include <stdbool.h>
#include <stdint.h>

#define SUFFIX_DATA	".log"
#define SUFFIX_INDEX	".index"
#define SUFFIX_TIME	".timeindex"
#define SUFFIX_TXN	".txnindex"
#define SUFFIX_SNAPSHOT	".snapshot"
#define SUFFIX_DELETED	".deleted"
#define SUFFIX_CLEANED	".cleaned"
#define SUFFIX_SWAP	".swap"
#define SUFFIX_TMP	".tmp"

/* The end of a log lies here at most, and no segment begins above: so an offset with a relative one of 31 bits added, and its successor, are numbers. */
#define LOG_OFFSET_MAX	(INT64_MAX - INT32_MAX - 1)

/* "<dir>/<20 digits><suffix>"; malloc'ed. */
char *segment_path(const char *dir, int64_t base, const char *suffix);
char *path_join(const char *dir, const char *name);	/* malloc'ed */

/* "<20 digits><suffix>", nothing behind it.  Java reads any number of digits; so do we, up to LOG_OFFSET_MAX. */
bool  name_parse_offset(const char *name, const char *suffix, int64_t *offset);
bool  name_has_suffix(const char *name, const char *suffix);
bool  name_leading_offset(const char *name, int64_t *offset);	/* the digits before the first dot */

enum log_dir_kind { LOG_DIR_LOG, LOG_DIR_DELETE, LOG_DIR_FUTURE, LOG_DIR_STRAY, LOG_DIR_OTHER };
/* What a directory inside a log directory is.  For LOG, FUTURE: topic (malloc'ed) and partition. */
enum log_dir_kind name_parse_log_dir(const char *name, char **topic, int32_t *partition);
/* <topic>-<partition>.<uuid32>-delete; the topic is cut so that the whole is at most 255 bytes.  malloc'ed. */
char *name_delete_dir(const char *topic, int32_t partition, const char *uuid_hex);

#endif
