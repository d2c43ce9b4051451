/* SPDX-License-Identifier: Apache-2.0
 *
 * config/broker.h - the settings of one broker: typed, checked, immutable.
 *
 * A struct config is a value: built from the file, the --override arguments and the dynamic settings of ZooKeeper; never changed afterwards.
 * A change makes a new one.  Order of precedence, highest first: broker dynamic, cluster-default dynamic, --override, file, default.
 *
 * Ownership  Reference counted; every pointer in it lives as long as a reference is held.
 * Threads    Any: it is immutable.
 * Failure    config_load reports *every* mistake, not only the first, then returns ERR_INVALID.  Passwords are never printed.
 */
#ifndef CONFIG_BROKER_H
#define CONFIG_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/kerr.h"
#include "base/slice.h"
#include "base/str.h"
#include "config/keys.h"
#include "config/listeners.h"
#include "config/map.h"

/* ---- what there is to say about a configuration ---- */
enum config_severity { CONFIG_WARNING, CONFIG_ERROR };

struct config_note {
	enum config_severity severity;
	char		*text;		/* one line, "FILE:LINE: key = value: words" */
};

struct config_report {
	struct config_note *notes;
	size_t		 count, size;
	size_t		 errors;	/* how many of them are errors */
};
#define CONFIG_REPORT_INIT	{ NULL, 0, 0, 0 }
void	 config_report_fini(struct config_report *);
void	 config_report_add(struct config_report *, enum config_severity, const char *fmt, ...) PRINTF_LIKE(3, 4);	/* NULL report: nothing */

/* ---- the value ---- */
struct config_list {
	const char *const *items;	/* borrowed from the config */
	size_t		 count;
};

struct config_ip_limit {
	char		*host;		/* a name or an address */
	int32_t		 max;
};

#define CONFIG_CTYPE_BOOLEAN	bool
#define CONFIG_CTYPE_STRING	const char *
#define CONFIG_CTYPE_INT	int32_t
#define CONFIG_CTYPE_SHORT	int16_t
#define CONFIG_CTYPE_LONG	int64_t
#define CONFIG_CTYPE_DOUBLE	double
#define CONFIG_CTYPE_LIST	struct config_list
#define CONFIG_CTYPE_CLASS	const char *
#define CONFIG_CTYPE_PASSWORD	const char *

enum config_compression { CONFIG_COMPRESSION_UNCOMPRESSED, CONFIG_COMPRESSION_GZIP, CONFIG_COMPRESSION_SNAPPY, CONFIG_COMPRESSION_LZ4,
	CONFIG_COMPRESSION_ZSTD, CONFIG_COMPRESSION_PRODUCER };	/* the first five are the codec numbers of record batches */

/* One field per row of broker.def, named after the key with _ for the dots.  Texts may be NULL (null).  A number whose default is null
 * and which nobody set is 0 and config_is_null tells; use the derived fields below for those. */
struct config {
#define CFG(type, name, field, def, valid, mode, impl, flags, doc)	CONFIG_CTYPE_##type field;
#include "config/broker.def"
#undef CFG

	/* derived, so that nobody repeats Kafka's rules */
	int32_t		 zookeeper_connection_timeout;	/* ms; zookeeper.connection.timeout.ms, else the session time-out */
	int64_t		 log_retention_time_ms;		/* -1 = unlimited */
	int64_t		 log_roll_time_ms, log_roll_jitter_time_ms, log_flush_time_ms;
	const char	*log_message_format_effective;	/* always "3.0-IV1": what is set is ignored since 3.0, as Java does */
	int64_t		 log_timestamp_before_max_ms, log_timestamp_after_max_ms;	/* the deprecated difference.max.ms worked in */
	bool		 zookeeper_embedded;		/* zookeeper.connect=embedded */
	const char	*zookeeper_embedded_dir;	/* NULL: the first log directory; a part of zookeeper_connect */
	char		*zookeeper_embedded_host;
	uint16_t	 zookeeper_embedded_port;
	struct config_list log_directories;		/* log.dirs, else log.dir; at least one */
	struct config_listeners bind;			/* listeners */
	struct config_listeners advertised;		/* advertised.listeners, else listeners */
	struct listener_protocols protocols;
	const char	*inter_broker_name;		/* name of the listener for brokers; one of advertised */
	enum security_protocol inter_broker_protocol;
	struct config_ip_limit *ip_limits;		/* max.connections.per.ip.overrides */
	size_t		 ip_limit_count;
	bool		 num_network_threads_set, num_io_threads_set, num_recovery_threads_set;	/* unset: the broker chooses by cores and disks */

	struct config_internal *internal;		/* config_int.h: sources, null flags, references */
};

struct config_input {
	const char	*file;			/* name for messages; NULL = there is none */
	struct slice	 text;			/* its bytes */
	const char *const *overrides;		/* "key=value" each */
	size_t		 override_count;
	struct fs	*fs;			/* for ${provider:path:key}; NULL = no files can be read */
	char *const	*environment;		/* likewise, as environ; may be NULL */
};

/* Defaults, file, overrides.  On success *configp has one reference, and the report may hold warnings. */
enum err config_load(const struct config_input *, struct config **configp, struct config_report *) MUST_CHECK;
struct config *config_ref(const struct config *);
void	 config_unref(struct config **);

bool	 config_is_null(const struct config *, const char *name);	/* a key of the table whose value is null */
/* The value of a key as Java prints it (a password too: for checks, never for people); NULL = null.  Caller frees. */
char	*config_value_text(const struct config *, const struct config_key *);
/* A value as people may see it: "[hidden]" for passwords and unknown keys, cut when long.  Caller frees. */
char	*config_value_shown(const struct config_key *, const char *value);

/* ---- dynamic settings ---- */
/* What the znodes of this broker (number `id`, for messages) and of the cluster default say, put on top of the static settings of `base`.  As in Kafka, entries that are
 * not dynamic, not allowed at their level or malformed are dropped (each an error in the report), the rest applied.  ERR_INVALID: the sum of it
 * breaks a cross check; the caller stays with what it has. */
enum err config_with_dynamic(const struct config *base, int32_t id, const struct config_map *cluster_default,
    const struct config_map *broker, struct config **, struct config_report *) MUST_CHECK;

/* Would `props` be a valid whole set of dynamic settings of this broker (or of the cluster default)?  KERR_NONE, or INVALID_REQUEST and words:
 * Kafka's answer to AlterConfigs. */
enum kerr config_validate_dynamic(const struct config *current, const struct config_map *props, bool per_broker, struct errbuf *);

/* The dynamic settings this config was built from (entries that were dropped are not in them); never NULL. */
const struct config_map *config_dynamic_broker(const struct config *);
const struct config_map *config_dynamic_default(const struct config *);
const struct config_map *config_static(const struct config *);

/* ---- for ottlad --check ---- */
/* Effective settings that differ from the default with where they come from, then warnings and errors.  config may be NULL (it did not load). */
void	 config_check(const struct config *, const struct config_report *, struct strbuf *);

#endif
