/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/topics.h - making and deleting topics, adding partitions (Kafka's ZkAdminManager and AdminZkClient).
 *
 * All of it only writes what is wanted to ZooKeeper; the controller does the rest.  A request with timeout_ms <= 0 does not wait and is
 * REQUEST_TIMED_OUT for each topic although it was carried out, as in Java.
 */
#ifndef ADMIN_TOPICS_H
#define ADMIN_TOPICS_H

#include "admin/admin.h"
#include "base/uuid.h"
#include "config/alter.h"
#include "config/describe.h"

/* Which names are there more than once.  For callers, who answer such names by themselves. */
enum admin_mention { ADMIN_UNIQUE, ADMIN_FIRST_OF_SEVERAL, ADMIN_FURTHER };
void	 admin_find_repeated(const struct slice *names, int32_t n, enum admin_mention *out);

/* ---- creation ---- */
struct admin_replicas {			/* one partition's brokers, in order of preference */
	int32_t		 partition;
	const int32_t	*brokers;
	int32_t		 n;
};

struct admin_topic {
	/* wanted */
	struct slice	 name;		/* unique in the job: the caller has sorted duplicates out */
	int32_t		 num_partitions;	/* -1: num.partitions */
	int16_t		 replication_factor;	/* -1: default.replication.factor */
	const struct admin_replicas *assignments;	/* given by hand; with them both numbers are -1 */
	int32_t		 nassignments;
	const struct config_wish *configs;
	int32_t		 nconfigs;

	/* became */
	struct admin_outcome outcome;
	struct uuid	 id;		/* zero unless it was written */
	int32_t		 partitions;	/* -1 on error */
	int16_t		 replicas;	/* -1 on error */
	struct config_description described;	/* every setting of the new topic; none on error */
};

struct admin_create_topics {
	struct admin_job job;
	struct admin_topic *topics;
	int32_t		 ntopics;
	bool		 validate_only;
	bool		 describe;	/* fill `described` */
	int32_t		 timeout_ms;
	void		*state;		/* the admin's */
};
void	 admin_create_topics(struct admin *, struct admin_create_topics *);

/* ---- deletion ---- */
struct admin_doomed {
	struct slice	 name;
	enum kerr	 error;
};

struct admin_delete_topics {
	struct admin_job job;
	struct admin_doomed *topics;	/* names are unique, and known to the image */
	int32_t		 ntopics;
	int32_t		 timeout_ms;
	void		*state;
};
void	 admin_delete_topics(struct admin *, struct admin_delete_topics *);

/* ---- more partitions ---- */
struct admin_growth {
	struct slice	 name;
	int32_t		 count;		/* wanted in all */
	const struct admin_replicas *assignments;	/* of the new ones, in order; NULL: automatic */
	int32_t		 nassignments;
	struct admin_outcome outcome;
};

struct admin_create_partitions {
	struct admin_job job;
	struct admin_growth *topics;	/* names are unique */
	int32_t		 ntopics;
	bool		 validate_only;
	int32_t		 timeout_ms;
	void		*state;
};
void	 admin_create_partitions(struct admin *, struct admin_create_partitions *);

/* ---- automatic creation, for Metadata (Java's AutoTopicCreationManager) ---- */
/* Starts making each topic with the broker's default numbers and does not wait.  errors[i] is what Metadata answers for it now:
 *   LEADER_NOT_AVAILABLE         it is being made, for this request or another one
 *   UNKNOWN_TOPIC_OR_PARTITION   too many are being made
 *   INVALID_TOPIC_EXCEPTION, INVALID_REPLICATION_FACTOR  it cannot be made
 * Any registered thread; no ZooKeeper answer is awaited. */
void	 admin_auto_create(struct admin *, const struct slice *topics, uint32_t n, enum kerr *errors);

#endif
