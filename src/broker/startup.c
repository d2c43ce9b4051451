/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/startup.c - a broker starts: the steps of KafkaServer.startup, in its order, each on the control loop; what blocks runs on a worker.
 *
 *    1 workers; log directories made and locked, their meta.properties read
 *    2 the embedded ZooKeeper, if it is wanted; ZooKeeper session (the keeper hears of it), chroot
 *    3 top-level paths; refused: a cluster that migrates to KRaft
 *    4 cluster id; broker id (given, stored, or generated)
 *    5 refused: another broker in /brokers/ids (until brokers can replicate; broker_options.peers)
 *    6 dynamic broker settings, topic overrides, how many partitions __consumer_offsets has
 *    7 identity stored in the directories; logs loaded, recovered where needed
 *    8 the parts: loops, cluster image, replica manager, server, network (bound, not serving)
 *    9 the session of a killed predecessor closed (session records); records written; registration: broker epoch
 *   10 controller; configuration changes followed; requests served; periodic jobs
 *   11 ready when the controller has told this broker about itself and given its partitions their leader (ready.c)
 *
 * INVARIANTS
 *   (1) Every step ends in exactly one of: the next step, or broker_fail.
 *   (2) A stop that comes during the start is noticed at the next step boundary.
 *   (3) Nothing is written to a log directory before its identity was compared with the cluster's (step 7), except .lock.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/alloc.h"
#include "broker/broker_int.h"
#include "zk/json.h"
#include "zk/paths.h"

static void s2_session(struct broker *);
static void s3_paths(struct broker *);
static void s4_identity(struct broker *);
static void s5_others(struct broker *);
static void s6_configs(struct broker *);
static void s7_logs(struct broker *);
static void s8_parts(struct broker *);
static void s9_reclaim(struct broker *);
static void s10_serve(struct broker *);

/* ---- shared ---- */

void
broker_fail(struct broker *b, enum err e, const char *fmt, ...)
{
	va_list ap;

	if (b->state != BROKER_STARTING)
		return;
	b->failed = e == OK ? ERR_INVALID : e;
	va_start(ap, fmt);
	vsnprintf(b->failure.text, sizeof(b->failure.text), fmt, ap);
	va_end(ap);
	shutdown_run(b);
}

/* Invariant (2). */
static bool
interrupted(const struct broker *b)
{
	return (b->state != BROKER_STARTING);
}

static void
blocking_run(struct job *job)
{
	struct broker *b = CONTAINER_OF(job, struct broker, job);

	b->step(b);
}

static void
blocking_done(struct job *job)
{
	struct broker *b = CONTAINER_OF(job, struct broker, job);

	b->blocking = false;
	b->after(b);
}

void
broker_blocking(struct broker *b, void (*step)(struct broker *), void (*after)(struct broker *))
{
	b->blocking = true;
	b->step = step;
	b->after = after;
	b->job = (struct job){ .run = blocking_run, .done = blocking_done, .loop = b->opt.control };
	workers_submit(b->workers, &b->job);
}

void
broker_request_stop(struct broker *b, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	if (b->told_stop || b->state >= BROKER_STOPPING)
		return;
	b->told_stop = true;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	b->opt.must_stop(b->opt.ctx, why);
}

/* ---- 1: what needs nobody else ---- */

static uint32_t
network_loops(const struct config *c)
{
	uint32_t n = c->num_network_threads_set ? (uint32_t)c->num_network_threads : (uint32_t)get_nprocs();

	return (MAX(1, MIN(n, NETWORK_LOOPS_MAX)));
}

static uint32_t
worker_threads(const struct broker *b)
{
	uint32_t n = MAX(4, MAX(2 * b->ndirs, (uint32_t)get_nprocs()));

	return (b->config->num_io_threads_set ? (uint32_t)b->config->num_io_threads : n);
}

/* Per directory.  Recovery waits for its reads as long as it computes, so there are two for a processor.  The directories are recovered side by side and
 * share them, so that many disks do not make many times as many threads; each has one, as it has by default in Java.  A number that is set is each
 * directory's, as Java's: it is the operator's business what that makes in all. */
uint32_t
broker_recovery_threads(const struct broker *b)
{
	uint32_t all = 2 * (uint32_t)get_nprocs(), n = (all + b->ndirs - 1) / b->ndirs;

	if (b->opt.by_hand)
		return (0);
	return (b->config->num_recovery_threads_set ? (uint32_t)b->config->num_recovery_threads_per_data_dir : MIN(n, RECOVERY_THREADS_MAX));
}

void
broker_resize_workers(struct broker *b)
{
	struct errbuf eb = ERRBUF_INIT;
	uint32_t n = worker_threads(b);

	if (b->opt.by_hand || n == workers_count(b->workers))
		return;
	if (workers_resize(b->workers, n, &eb) != OK)
		diag_error(b->opt.diag, "config", "num.io.threads: %s; %u workers run now", eb.text, workers_count(b->workers));
	else
		diag_info(b->opt.diag, "config", "num.io.threads: %u workers now", n);
}

static enum err
make_loops(struct broker *b, struct errbuf *eb)
{
	struct loop_options opt = { .clock = b->opt.clock };
	char name[16];
	enum err e;

	b->nloops = network_loops(b->config);
	for (uint32_t i = 0; i < b->nloops; i++) {
		str_format(name, sizeof(name), "net-%u", i);
		opt.name = name;
		e = loop_new(&opt, &b->loops[i], eb);
		if (e != OK)
			return (e);
	}
	opt.name = "controller";
	e = loop_new(&opt, &b->controller_loop, eb);
	if (b->opt.by_hand)
		return (e);
	for (uint32_t i = 0; i < b->nloops && e == OK; i++) {
		e = loop_start(b->loops[i], eb);
		b->nstarted += e == OK;
	}
	if (e == OK)
		e = loop_start(b->controller_loop, eb);
	b->controller_started = e == OK;
	return (e);
}

/* Absolute paths: diagnostics and the renames of log/ must not depend on where somebody stood. */
static void
collect_dirs(struct broker *b)
{
	char cwd[PATH_MAX];

	if (getcwd(cwd, sizeof(cwd)) == NULL)
		cwd[0] = '\0';
	b->ndirs = (uint32_t)b->config->log_directories.count;
	b->dirs = xcalloc(b->ndirs, sizeof(*b->dirs));
	for (uint32_t i = 0; i < b->ndirs; i++) {
		const char *dir = b->config->log_directories.items[i];

		b->dirs[i] = dir[0] == '/' ? xstrdup(dir) : xasprintf("%s/%s", cwd, dir);
	}
}

struct dir_news { struct broker *b; char text[512]; };

static void
dir_news_told(void *v)
{
	struct dir_news *n = v;

	broker_request_stop(n->b, "%s", n->text);
	free(n);
}

static void
on_end_offset_moved(void *ctx, struct log *log)
{
	struct broker *b = ctx;

	if (b->replicas != NULL)
		replica_end_offset_moved(b->replicas, log);
}

static void dir_event_written(void *, const struct zk_result *);

/* Whoever is controller asks us for our replicas then (KafkaZkClient.propagateLogDirEvent).  Before we are registered nobody need be told: every
 * replica is asked for by the first LeaderAndIsr. */
static void
dir_event_send(void *v)
{
	struct broker *b = v;
	struct arena a;

	b->dir_event_wanted = true;
	if (b->dir_event_sent || !b->registered || b->zk == NULL || b->state >= BROKER_STOPPING)
		return;
	b->dir_event_wanted = false;
	b->dir_event_sent = true;
	arena_init(&a, SIZE_MAX);
	zk_create(b->zk, ZK_LOG_DIR_EVENTS "/" ZK_LOG_DIR_EVENT_PREFIX, zk_log_dir_event_encode(&a, b->id), ZK_PERSISTENT_SEQUENTIAL,
	    dir_event_written, b);
	arena_fini(&a);
}

/* A connection that was lost may have left two nodes: the second query finds nothing new. */
static void
dir_event_written(void *ctx, const struct zk_result *r)
{
	struct broker *b = ctx;

	b->dir_event_sent = false;
	if (r->error == ZKE_CLOSING)
		return;
	if (r->error != ZKE_OK && r->error != ZKE_SESSION_EXPIRED)
		diag_error(b->opt.diag, "zookeeper", "the controller cannot be told of the failed log directory: " ZK_LOG_DIR_EVENTS ": %s",
		    zke_text(r->error));
	if (b->dir_event_wanted || r->error == ZKE_SESSION_EXPIRED)
		dir_event_send(b);
}

static void
on_dir_offline(void *ctx, const char *dir, const char *why)
{
	struct broker *b = ctx;

	diag_error(b->opt.diag, "log", "directory %s is offline until the next start: %s", dir, why);
	if (b->replicas != NULL)
		replica_dir_offline(b->replicas, dir);	/* its partitions answer KAFKA_STORAGE_ERROR before the controller asks */
	loop_call(b->opt.control, dir_event_send, b);
}

static void
on_all_offline(void *ctx)
{
	struct broker *b = ctx;
	struct dir_news *n = xmalloc(sizeof(*n));

	n->b = b;
	str_format(n->text, sizeof(n->text), "the last log directory has failed");
	loop_call(b->opt.control, dir_news_told, n);
}

static void
open_dirs(struct broker *b)
{
	struct log_dirs_options opt = {
	    .fs = b->opt.fs, .clock = b->opt.clock, .diag = b->opt.diag, .metrics = &b->metrics, .random = b->opt.random,
	    .workers = b->workers, .dirs = b->dirs, .ndirs = b->ndirs,
	    .recovery_threads_per_dir = broker_recovery_threads(b),
	    .sync_appends = b->config->ottla_produce_sync_enable,
	    .open_indexes_max = b->opt.open_indexes_max,
	    .scrub_bytes_per_second = (uint64_t)b->config->ottla_log_scrub_bytes_per_second,
	    .topic_options = configs_log_options, .topic_options_ctx = b,
	    .events = { b, on_end_offset_moved, on_dir_offline, on_all_offline, NULL },
	};

	configs_log_options(b, "", &opt.defaults);
	b->step_err = log_dirs_new(&opt, &b->log_dirs, &b->step_why);
}

static void
open_embedded(struct broker *b)
{
	b->step_err = embedded_start(b, &b->zookeeper, &b->step_why);
}

static void
embedded_opened(struct broker *b)
{
	if (interrupted(b))
		return;
	if (b->step_err != OK)
		broker_fail(b, b->step_err, "zookeeper.connect = %s: %s", b->config->zookeeper_connect, b->step_why.text);
	else
		s2_session(b);
}

static void
dirs_opened(struct broker *b)
{
	if (interrupted(b))
		return;
	if (b->step_err != OK)
		broker_fail(b, b->step_err, "log directories: %s", b->step_why.text);
	else if (b->config->zookeeper_embedded)
		broker_blocking(b, open_embedded, embedded_opened);
	else
		s2_session(b);
}

void
startup_run(struct broker *b)
{
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	b->state = BROKER_STARTING;
	b->zookeeper = xstrdup(b->config->zookeeper_connect);
	b->started_ns = clock_mono_ns(b->opt.clock);
	collect_dirs(b);
	e = workers_new(b->opt.by_hand ? 0 : worker_threads(b), "worker", &b->workers, &eb);
	if (e != OK) {
		broker_fail(b, e, "starting threads: %s", eb.text);
		return;
	}
	if (strncmp(b->config->inter_broker_protocol_version, "3.9", 3) != 0) {
		broker_fail(b, ERR_UNSUPPORTED, "inter.broker.protocol.version = %s: this broker speaks 3.9 only; finish the upgrade of the "
		    "cluster to 3.9 first, then set it to 3.9", b->config->inter_broker_protocol_version);
		return;
	}
	broker_blocking(b, open_dirs, dirs_opened);
}

/* ---- 2: the ZooKeeper session ---- */

static void
write_records(struct broker *b, const struct zk_session_ident *ident)
{
	struct errbuf eb = ERRBUF_INIT;

	if (!b->opt.config->ottla_session_record_enable || b->embedded != NULL)	/* not b->config: a worker asks, and that one may be replaced meanwhile */
		return;
	for (uint32_t i = 0; i < b->ndirs; i++)
		if (session_record_write(b->dirs[i], ident, b->id, b->cluster_id, b->zookeeper, &eb) != OK)
			diag_warning(b->opt.diag, "zookeeper", "no session record in %s: %s; after a crash the next start waits for the session to "
			    "expire", b->dirs[i], eb.text);
}

static void
records_job_run(struct job *job)
{
	struct broker *b = CONTAINER_OF(job, struct broker, records_job);

	write_records(b, &b->ident);
}

/* Nothing is sent in the new session before its record stands.  (A session that came and ended while the job ran is let through at once.) */
static void
records_job_done(struct job *job)
{
	struct broker *b = CONTAINER_OF(job, struct broker, records_job);
	struct zk_session_ident now;

	if (b->opt.zookeeper->ident(b->session, &now) && now.id != b->ident.id) {
		b->ident = now;
		workers_submit(b->workers, job);
		return;
	}
	b->writing_records = false;
	b->opt.zookeeper->proceed(b->session);
}

static void
session_established(void *ctx, struct zk_session *session, const struct zk_session_ident *ident)
{
	struct errbuf eb = ERRBUF_INIT;
	struct broker *b = ctx;

	if (b->embedded != NULL)
		embedded_own(b, ident->id);
	if (b->opt.keeper != NULL && keeper_session(b->opt.keeper, b->zookeeper, ident, &eb) != OK)
		diag_warning(b->opt.diag, "zookeeper", "the keeper cannot be told: %s", eb.text);
	if (!b->records_ours || b->state >= BROKER_STOPPING || b->writing_records) {
		b->opt.zookeeper->proceed(session);
		return;
	}
	b->ident = *ident;
	b->writing_records = true;
	b->records_job = (struct job){ .run = records_job_run, .done = records_job_done, .loop = b->opt.control };
	workers_submit(b->workers, &b->records_job);
}

static void re_registered(void *, enum err, int64_t, const struct errbuf *);
static void registered(void *, enum err, int64_t, const struct errbuf *);
static void feature_follow(struct broker *);

static void
register_now(struct broker *b)
{
	b->register_again = false;
	broker_register(b, b->registered ? re_registered : registered);
}

/* The session ended under a registration.  Nearly always that is told before the end itself is; then the end sets the next one going. */
static void
register_in_next_session(struct broker *b)
{
	if (b->expiries != b->registering_since)
		register_now(b);
	else
		b->register_again = true;
}

static void
re_registered(void *ctx, enum err e, int64_t epoch, const struct errbuf *why)
{
	struct broker *b = ctx;

	b->registering = false;
	if (e == ERR_ZK_EXPIRED) {
		register_in_next_session(b);
	} else if (e == OK) {
		b->epoch = epoch;
		diag_info(b->opt.diag, "zookeeper", "registered again as broker %d, epoch %" PRId64, b->id, epoch);
		if (b->update_wanted)
			broker_update_registration(b);
	} else if (e != ERR_STOPPED) {
		broker_request_stop(b, "after the loss of the ZooKeeper session broker %d could not register again: %s", b->id, why->text);
	}
}

static void
session_event(struct zk_listener *l, enum zk_session_event e)
{
	struct broker *b = CONTAINER_OF(l, struct broker, listener);

	switch (e) {
	case ZK_CONNECTED:
		diag_info(b->opt.diag, "zookeeper", "connected, session 0x%" PRIx64, (uint64_t)zk_session_id(b->zk));
		return;
	case ZK_DISCONNECTED:
		diag_warning(b->opt.diag, "zookeeper", "connection lost; serving on with the leadership known");
		return;
	case ZK_EXPIRED:
		diag_error(b->opt.diag, "zookeeper", "session expired; registering again");
		metric_add(&b->metrics, METRIC_zk_sessions_expired_total, 1);
		b->expiries++;
		if ((b->registered || b->register_again) && !b->registering && b->state < BROKER_STOPPING)
			register_now(b);	/* waits for the next session */
		if (b->registered)
			feature_follow(b);	/* the watch went with the session */
		configs_next_session(b);
		return;
	case ZK_AUTH_FAILED:
		diag_error(b->opt.diag, "zookeeper", "authentication failed; trying again");
		return;
	}
}

static void
session_opened(void *ctx, enum err e, const struct errbuf *why)
{
	struct broker *b = ctx;

	if (interrupted(b))
		return;
	if (e != OK) {
		broker_fail(b, e, "zookeeper.connect = %s: %s%s", b->config->zookeeper_connect, why->text,
		    e == ERR_TIMEOUT ? "; is ZooKeeper running, and at that address?" : "");
		return;
	}
	b->zk = b->opt.zookeeper->client(b->session, b->opt.control);
	b->listener.fn = session_event;
	zk_listen(b->zk, &b->listener);
	s3_paths(b);
}

static void
s2_session(struct broker *b)
{
	struct zk_session_options opt = {
	    .connect = b->zookeeper,
	    .timeout_ms = b->config->zookeeper_session_timeout_ms,
	    .connect_timeout_ms = b->config->zookeeper_connection_timeout,
	    .max_in_flight = (uint32_t)b->config->zookeeper_max_in_flight_requests,
	    .set_acl = b->config->zookeeper_set_acl,
	    .loop = b->opt.control,
	    .workers = b->workers,
	    .diag = b->opt.diag,
	    .established = session_established,
	    .ctx = b,
	};
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	e = b->opt.zookeeper->open(b->opt.zookeeper->ctx, &opt, session_opened, b, &b->session, &eb);
	if (e != OK)
		broker_fail(b, e, "zookeeper.connect = %s: %s", b->config->zookeeper_connect, eb.text);
}

/* ---- 3: paths, and what we must not touch ---- */

static void
migration_read(void *ctx, const struct zk_result *r)
{
	struct errbuf eb = ERRBUF_INIT;
	struct zk_migration_info m;
	struct broker *b = ctx;

	if (interrupted(b))
		return;
	if (r->error == ZKE_OK && (zk_migration_decode(r->data, &m, &eb) != OK || m.kraft_controller_id != -1))
		broker_fail(b, ERR_UNSUPPORTED, "this cluster is being migrated to KRaft (znode /migration exists); finish or roll back the "
		    "migration with the Java brokers first");
	else if (r->error != ZKE_OK && r->error != ZKE_NO_NODE)
		broker_fail(b, zke_err(r->error), "reading /migration: %s", zke_text(r->error));
	else
		s4_identity(b);
}

static void
paths_made(void *ctx, enum err e, const struct errbuf *why)
{
	struct broker *b = ctx;

	if (interrupted(b))
		return;
	if (e != OK)
		broker_fail(b, e, "creating Kafka's paths in ZooKeeper: %s", why->text);
	else
		zk_get(b->zk, ZK_MIGRATION, NULL, migration_read, b);
}

static void
s3_paths(struct broker *b)
{
	zk_create_top_level_paths(b->zk, paths_made, b);
}

/* ---- 4: who are we, and in which cluster ---- */

static void
broker_id_made(void *ctx, enum err e, int32_t id, const struct errbuf *why)
{
	struct broker *b = ctx;

	if (interrupted(b))
		return;
	if (e != OK) {
		broker_fail(b, e, "generating a broker id: %s", why->text);
		return;
	}
	b->id = id;
	s5_others(b);
}

static void
cluster_id_known(void *ctx, enum err e, const char *id, const struct errbuf *why)
{
	struct broker *b = ctx;
	int32_t stored;

	if (interrupted(b))
		return;
	if (e != OK) {
		broker_fail(b, e, "cluster id: %s", why->text);
		return;
	}
	b->cluster_id = xstrdup(id);
	stored = log_dirs_broker_id(b->log_dirs);
	b->id = b->config->broker_id >= 0 ? b->config->broker_id : stored;
	if (b->id >= 0)
		s5_others(b);
	else if (!b->config->broker_id_generation_enable)
		broker_fail(b, ERR_INVALID, "broker.id is not set, no log directory holds one, and broker.id.generation.enable is false");
	else
		zk_broker_id_generate(b->zk, b->config->reserved_broker_max_id, broker_id_made, b);
}

static void
s4_identity(struct broker *b)
{
	zk_cluster_id_get_or_create(b->zk, b->opt.random, cluster_id_known, b);
}

/* ---- 5: alone, for now ---- */

static void
others_listed(void *ctx, enum err e, const struct zk_broker_entry *entries, uint32_t n, const struct errbuf *why)
{
	struct broker *b = ctx;

	if (interrupted(b))
		return;
	if (e != OK) {
		broker_fail(b, e, "reading /brokers/ids: %s", why->text);
		return;
	}
	for (uint32_t i = 0; i < n && b->opt.peers == NULL; i++)
		if (entries[i].info.id != b->id) {
			broker_fail(b, ERR_UNSUPPORTED, "broker %d is registered in this cluster; this version of Ottla cannot replicate yet and "
			    "runs alone: use an empty chroot in zookeeper.connect, or stop that broker", entries[i].info.id);
			return;
		}
	s6_configs(b);
}

static void
s5_others(struct broker *b)
{
	zk_brokers_list(b->zk, NULL, others_listed, b);
}

/* ---- 6: what ZooKeeper says about our settings ---- */

static void
topic_config_seen(void *ctx, const struct zk_entity *entity, const struct zk_config *config)
{
	configs_topic_set(ctx, entity->name, config);
}

/* A group belongs to a partition by this number; so it is read once, and partitions added later do not count before the next start. */
static void
offsets_topic_read(void *ctx, const struct zk_result *r)
{
	struct errbuf eb = ERRBUF_INIT;
	struct zk_topic_info info;
	struct broker *b = ctx;
	struct arena a;

	if (interrupted(b))
		return;
	b->offsets_partitions = (uint32_t)b->config->offsets_topic_num_partitions;
	arena_init(&a, SIZE_MAX);
	if (r->error == ZKE_NO_NODE) {
		s7_logs(b);
	} else if (r->error != ZKE_OK) {
		broker_fail(b, zke_err(r->error), "reading " ZK_TOPICS "/" GROUP_OFFSETS_TOPIC ": %s", zke_text(r->error));
	} else if (zk_topic_decode(&a, r->data, &info, &eb) != OK || info.npartitions == 0) {
		broker_fail(b, ERR_MALFORMED, ZK_TOPICS "/" GROUP_OFFSETS_TOPIC ": %s", eb.text[0] != '\0' ? eb.text : "no partitions");
	} else {
		b->offsets_partitions = info.npartitions;
		s7_logs(b);
	}
	arena_fini(&a);
}

static void
topic_configs_read(void *ctx, enum err e, const struct errbuf *why)
{
	struct broker *b = ctx;

	if (interrupted(b))
		return;
	if (e != OK)
		broker_fail(b, e, "reading topic configurations: %s", why->text);
	else
		zk_get(b->zk, ZK_TOPICS "/" GROUP_OFFSETS_TOPIC, NULL, offsets_topic_read, b);
}

/* A node that is no JSON: there are no dynamic settings then, as in Java. */
static bool
config_unreadable(struct broker *b, enum err e, const char *node, const struct errbuf *why)
{
	if (e == ERR_MALFORMED)
		diag_error(b->opt.diag, "config", "%s; the settings in it are ignored: write the node anew, or delete it", why->text);
	else if (e != OK)
		broker_fail(b, e, "reading /config/brokers/%s: %s", node, why->text);
	return (e != OK && e != ERR_MALFORMED);
}

static void
own_config_read(void *ctx, enum err e, const struct zk_config *config, bool found, const struct errbuf *why)
{
	struct broker *b = ctx;
	char own[16];

	(void)found;
	str_format(own, sizeof(own), "%d", b->id);
	if (interrupted(b) || config_unreadable(b, e, own, why))
		return;
	configs_map_of(config, &b->dynamic_broker);
	configs_reseal(b);
	configs_apply_dynamic(b);
	zk_config_read_all(b->zk, ZK_ENTITY_TOPIC, b->opt.diag, topic_config_seen, topic_configs_read, b);
}

static void
default_config_read(void *ctx, enum err e, const struct zk_config *config, bool found, const struct errbuf *why)
{
	struct zk_entity entity = { .type = ZK_ENTITY_BROKER };
	struct broker *b = ctx;
	char own[16];

	(void)found;
	if (interrupted(b) || config_unreadable(b, e, ZK_DEFAULT_ENTITY, why))
		return;
	configs_map_of(config, &b->dynamic_default);
	str_format(own, sizeof(own), "%d", b->id);
	entity.name = own;
	zk_config_read(b->zk, &entity, own_config_read, b);
}

static void
s6_configs(struct broker *b)
{
	struct zk_entity entity = { .type = ZK_ENTITY_BROKER, .name = ZK_DEFAULT_ENTITY };

	zk_config_read(b->zk, &entity, default_config_read, b);
}

/* ---- 7: the logs ---- */

static void
load_logs(struct broker *b)
{
	b->step_err = log_dirs_set_identity(b->log_dirs, b->id, b->cluster_id, &b->step_why);
	if (b->step_err == OK)
		b->step_err = log_dirs_load(b->log_dirs, &b->step_why);
}

static void
logs_loaded(struct broker *b)
{
	b->identity_known = b->step_err == OK;	/* also when interrupted: loaded logs are closed cleanly */
	if (interrupted(b))
		return;
	if (b->step_err != OK) {
		broker_fail(b, b->step_err, "%s", b->step_why.text);
		return;
	}
	s8_parts(b);
}

static void
s7_logs(struct broker *b)
{
	broker_blocking(b, load_logs, logs_loaded);
}

/* ---- 8: the parts ---- */

static int64_t
own_epoch(void *ctx)
{
	return (((struct broker *)ctx)->epoch);
}

static struct controller_channel *
open_channel(void *ctx, const struct zk_broker_entry *e)
{
	struct broker *b = ctx;

	if (e->info.id != b->id)
		return (b->opt.peers == NULL ? NULL : b->opt.peers->channel(b->opt.peers->ctx, e, b->controller_loop));
	return (controller_mailbox_new(b->replicas, b->opt.control, b->controller_loop));
}

struct observation { struct broker *b; int32_t id; };

static void
foreign_controller(void *v)
{
	struct observation *o = v;
	struct broker *b = o->b;

	replica_manager_refuse_appends(b->replicas);
	broker_request_stop(b, "broker %d holds /controller: this version of Ottla runs alone and stops taking records", o->id);
	free(o);
}

static void
on_controller_observed(void *ctx, int32_t id)
{
	struct broker *b = ctx;
	struct observation *o;

	if (id == b->id || id < 0 || b->opt.peers != NULL)
		return;
	o = xmalloc(sizeof(*o));
	*o = (struct observation){ b, id };
	loop_call(b->opt.control, foreign_controller, o);
}

static void
failover_done(void *v)
{
	ready_check(v);
}

static void
on_controller_active(void *ctx)
{
	struct broker *b = ctx;

	loop_call(b->opt.control, failover_done, b);
}

static void
on_foreign_broker(void *ctx, int32_t id)
{
	struct broker *b = ctx;

	if (b->opt.peers != NULL)
		return;
	diag_error(b->opt.diag, "controller", "broker %d has registered: this version of Ottla cannot replicate, so it gets no replicas and "
	    "clients do not see it", id);
}

static void
image_changed(struct cluster_listener *l)
{
	ready_check(CONTAINER_OF(l, struct broker, cluster_listener));
}

/* -1 is a quarter of what the machine has.  The largest request must fit beside others. */
static int64_t
peer_memory_max(const struct config *c)
{
	int64_t max = c->ottla_peer_memory_max_bytes;

	if (max < 0)
		max = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 4;
	return (MAX(max, 2 * (int64_t)c->socket_request_max_bytes));
}

static enum err
make_net(struct broker *b, struct errbuf *eb)
{
	const struct config *c = b->config;
	struct net_options opt = {
	    .loops = b->loops, .nloops = b->nloops, .workers = b->workers, .metrics = &b->metrics, .diag = b->opt.diag,
	    .handler = server_net_handler(b->server),
	    .request_bytes_max = c->socket_request_max_bytes,
	    .queued_requests_max = c->queued_max_requests,
	    .queued_bytes_max = c->queued_max_request_bytes,
	    .held_max = peer_memory_max(c),
	    .idle_max_ms = c->connections_max_idle_ms,
	};
	struct net_ip_limit *ips;
	enum err e;

	listeners_limits(c, &opt.limits, &ips);
	e = net_new(&opt, &b->net, eb);
	free(ips);
	if (e != OK) {
		errbuf_add(eb, "max.connections.per.ip.overrides");
		return (e);
	}
	return (listeners_bind(b, eb));
}

/* Offsets committed for it go with it (KafkaApis: onPartitionsDeleted).  The groups are made after the replicas. */
static void
on_topic_deleted(void *ctx, struct slice topic)
{
	struct broker *b = ctx;

	if (b->groups != NULL)
		group_coordinator_topic_deleted(b->groups, topic);
}

/* The groups are made after the replicas, and before anybody speaks to these. */
static void
on_leadership(void *ctx, const char *topic, int32_t partition, bool leads, int32_t leader_epoch)
{
	struct broker *b = ctx;

	if (strcmp(topic, GROUP_OFFSETS_TOPIC) != 0)
		return;
	if (leads)
		group_coordinator_elected(b->groups, partition, leader_epoch);
	else
		group_coordinator_resigned(b->groups, partition, leader_epoch);
}

static void
make_replicas(struct broker *b)
{
	struct replica_manager_options opt = {
	    .broker_id = b->id, .log_dirs = b->log_dirs, .cluster = b->cluster, .control = b->opt.control,
	    .loops = b->loops, .nloops = b->nloops, .workers = b->workers, .clock = b->opt.clock, .diag = b->opt.diag, .metrics = &b->metrics,
	    .configs = configs_for_replicas(b), .leadership = on_leadership, .leadership_ctx = b, .broker_epoch = own_epoch, .broker_epoch_ctx = b,
	    .topic_deleted = on_topic_deleted, .topic_deleted_ctx = b,
	};

	b->replicas = replica_manager_new(&opt);
	configs_tell_move_rate(b);
}

static void
make_controller(struct broker *b)
{
	struct controller_options opt = {
	    .loop = b->controller_loop, .zk = b->controller_zk, .broker_id = b->id, .clock = b->opt.clock, .random = b->opt.random,
	    .diag = b->opt.diag, .delete_topic_enable = b->config->delete_topic_enable,
	    .unclean_election = b->config->unclean_leader_election_enable,
	    .channel_open = open_channel, .observed = on_controller_observed, .active = on_controller_active,
	    .foreign_broker = on_foreign_broker, .ctx = b,
	};

	b->controller = controller_new(&opt);
}

static bool
is_controller(void *ctx)
{
	const struct broker *b = ctx;

	return (controller_active(b->controller));
}

static const struct config *
config_in_force(void *ctx)
{
	return (server_config(((struct broker *)ctx)->server));
}

static void
make_admin(struct broker *b)
{
	struct admin_options opt = {
	    .loop = b->opt.control, .zk = b->opt.zookeeper->client(b->session, b->opt.control), .cluster = b->cluster, .broker_id = b->id,
	    .random = b->opt.random, .diag = b->opt.diag, .controller_active = is_controller, .config = config_in_force, .ctx = b,
	};

	b->admin = admin_new(&opt);
}

static void
make_producer_ids(struct broker *b)
{
	struct producer_ids_options opt = {
	    .loop = b->opt.control, .zk = b->opt.zookeeper->client(b->session, b->opt.control), .broker_id = b->id, .clock = b->opt.clock,
	    .diag = b->opt.diag,
	};

	b->producer_ids = producer_ids_new(&opt);
}

static enum err
make_groups(struct broker *b, struct errbuf *eb)
{
	const struct config *c = b->config;
	struct group_coordinator_options opt = {
	    .replicas = b->replicas, .loops = b->loops, .nloops = b->nloops, .workers = b->workers, .clock = b->opt.clock,
	    .random = b->opt.random, .diag = b->opt.diag,
	    .min_session_timeout_ms = c->group_min_session_timeout_ms, .max_session_timeout_ms = c->group_max_session_timeout_ms,
	    .initial_rebalance_delay_ms = c->group_initial_rebalance_delay_ms, .size_max = c->group_max_size,
	    .metadata_max = c->offset_metadata_max_bytes, .load_buffer_bytes = c->offsets_load_buffer_size,
	    .retention_ms = (int64_t)c->offsets_retention_minutes * 60 * 1000, .retention_check_ms = c->offsets_retention_check_interval_ms,
	    .commit_timeout_ms = c->offsets_commit_timeout_ms, .commit_acks = c->offsets_commit_required_acks,
	    .codec = (enum codec)c->offsets_topic_compression_codec,
	};

	if (c->offsets_topic_compression_codec < 0 || c->offsets_topic_compression_codec >= CODEC_COUNT_ || !codec_built_in(opt.codec)) {
		errbuf_set(eb, "offsets.topic.compression.codec = %d: no codec of this broker", (int)c->offsets_topic_compression_codec);
		return (ERR_INVALID);
	}
	b->groups = group_coordinator_new(&opt);
	group_coordinator_start(b->groups, b->offsets_partitions);
	return (OK);
}

static void
make_server(struct broker *b)
{
	struct server_options opt = {
	    .broker_id = b->id, .cluster = b->cluster, .replicas = b->replicas, .controller = b->controller, .admin = b->admin,
	    .producer_ids = b->producer_ids, .groups = b->groups, .control = b->opt.control, .loops = b->loops, .nloops = b->nloops, .workers = b->workers, .clock = b->opt.clock,
	    .random = b->opt.random, .diag = b->opt.diag, .metrics = &b->metrics, .config = b->config,
	};

	b->server = server_new(&opt);
}

static void
s8_parts(struct broker *b)
{
	struct errbuf eb = ERRBUF_INIT;
	enum err e = make_loops(b, &eb);	/* dynamic settings say how many */

	if (e != OK) {
		broker_fail(b, e, "starting threads: %s", eb.text);
		return;
	}
	b->cluster = cluster_new(b->cluster_id);
	b->cluster_listener.loop = b->opt.control;
	b->cluster_listener.changed = image_changed;
	cluster_listen(b->cluster, &b->cluster_listener);
	make_replicas(b);
	b->controller_zk = b->opt.zookeeper->client(b->session, b->controller_loop);
	make_controller(b);
	make_admin(b);
	make_producer_ids(b);
	e = make_groups(b, &eb);
	if (e != OK) {
		broker_fail(b, e, "%s", eb.text);
		return;
	}
	make_server(b);
	e = make_net(b, &eb);
	if (e != OK)
		broker_fail(b, e, "%s", eb.text);
	else
		s9_reclaim(b);
}

/* ---- 9: the id is ours ---- */

/* Advertised is where we listen, unless advertised.listeners says otherwise. */
static uint16_t
advertised_port(const struct broker *b, const struct config_listener *adv)
{
	bool follows = b->config->advertised_listeners == NULL;
	const struct bound_listener *l = bound_find(b, adv->name);

	return (l != NULL && (follows || adv->port == 0) ? net_listener_port(l->net) : adv->port);
}

/* "" means every address: then the name of this host is what others can use, as in Kafka. */
static const char *
advertised_host(struct broker *b, const struct config_listener *adv)
{
	if (adv->host[0] != '\0')
		return (adv->host);
	if (b->host_name[0] == '\0' && gethostname(b->host_name, sizeof(b->host_name) - 1) != 0)
		str_copy(b->host_name, sizeof(b->host_name), "localhost");
	return (b->host_name);
}

/* What /brokers/ids/N is to say; the endpoints are the caller's to free. */
static struct zk_broker_info
own_info(struct broker *b)
{
	const struct config_listeners *adv = &b->config->advertised;
	struct zk_endpoint *endpoints = xcalloc(adv->count, sizeof(*endpoints));
	struct zk_broker_info info = { .id = b->id, .version = 5, .endpoints = endpoints, .jmx_port = -1 };

	for (size_t i = 0; i < adv->count; i++) {
		if (bound_find(b, adv->items[i].name) == NULL)
			continue;	/* it could not be bound while we run: nobody is sent there */
		endpoints[info.nendpoints++] = (struct zk_endpoint){ adv->items[i].name, (enum zk_security_protocol)adv->items[i].protocol,
		    advertised_host(b, &adv->items[i]), advertised_port(b, &adv->items[i]) };
	}
	info.rack = b->config->broker_rack;
	info.timestamp_ms = clock_wall_ms(b->opt.clock);
	return (info);
}

void
broker_register(struct broker *b, zk_registered_fn *fn)
{
	struct zk_broker_info info = own_info(b);

	b->registering = true;
	b->registering_since = b->expiries;
	b->update_wanted = false;
	zk_registrar_register(b->registrar, &info, true, fn, b);
	free(info.endpoints);
}

static void
registration_updated(void *ctx, enum err e, const struct errbuf *why)
{
	struct broker *b = ctx;

	if (e == OK)
		diag_info(b->opt.diag, "zookeeper", "the registration of broker %d names the new advertised listeners", b->id);
	else if (e != ERR_ZK_EXPIRED && e != ERR_STOPPED)	/* after an expiry the registration itself says the newest */
		diag_error(b->opt.diag, "zookeeper", "advertised listeners: clients and other brokers do not learn the new ones: %s", why->text);
}

void
broker_update_registration(struct broker *b)
{
	struct zk_broker_info info;

	if (b->registering) {
		b->update_wanted = true;	/* when it has been answered: it may have been sent already */
		return;
	}
	if (!b->registered || b->zk == NULL || b->registrar == NULL)
		return;
	b->update_wanted = false;
	info = own_info(b);
	zk_registrar_update(b->registrar, &info, registration_updated, b);
	free(info.endpoints);
}

static void
registered(void *ctx, enum err e, int64_t epoch, const struct errbuf *why)
{
	struct broker *b = ctx;

	b->registering = false;
	if (interrupted(b))
		return;
	if (e == ERR_ZK_EXPIRED) {
		register_in_next_session(b);
		return;
	}
	if (e != OK) {
		broker_fail(b, e, "registering broker %d: %s", b->id, why->text);
		return;
	}
	b->epoch = epoch;
	b->registered = true;
	s10_serve(b);
}

static void
write_first_records(struct broker *b)
{
	if (b->have_ident)
		write_records(b, &b->ident);
}

static void
records_written(struct broker *b)
{
	struct zk_session_ident now;

	if (interrupted(b))
		return;
	if (b->opt.zookeeper->ident(b->session, &now) && (!b->have_ident || now.id != b->ident.id)) {
		b->have_ident = true;	/* the session expired while its record was written */
		b->ident = now;
		broker_blocking(b, write_first_records, records_written);
		return;
	}
	b->records_ours = true;
	b->registrar = zk_registrar_new(b->zk, b->id);
	broker_register(b, registered);
}

static void
reclaimed(void *ctx, enum err e, enum session_reclaim_outcome outcome, const struct errbuf *why)
{
	struct broker *b = ctx;

	b->reclaim = NULL;
	if (interrupted(b))
		return;
	if (e != OK)
		diag_warning(b->opt.diag, "zookeeper", "the session of an earlier run: %s", why->text);
	else if (outcome == RECLAIM_CLOSED)
		diag_info(b->opt.diag, "zookeeper", "the session that the last run left behind is closed");
	b->have_ident = b->opt.zookeeper->ident(b->session, &b->ident);
	broker_blocking(b, write_first_records, records_written);
}

static void
s9_reclaim(struct broker *b)
{
	struct session_reclaim_options opt = {
	    .dirs = b->dirs, .ndirs = b->ndirs, .broker_id = b->id, .cluster_id = b->cluster_id, .connect = b->zookeeper,
	    .session_timeout_ms = b->config->zookeeper_session_timeout_ms, .allow_close = b->config->ottla_session_record_enable,
	    .workers = b->workers, .diag = b->opt.diag,
	};

	if (b->embedded != NULL)	/* it has ended our former session before it served anybody */
		reclaimed(b, OK, RECLAIM_NOTHING, NULL);
	else
		b->reclaim = session_record_reclaim(b->zk, &opt, reclaimed, b);
}

/* ---- 10: open for business ---- */

static void
feature_read(void *ctx, const struct zk_result *r)
{
	struct broker *b = ctx;

	if (r->error == ZKE_OK && b->server != NULL)
		server_set_features_epoch(b->server, r->stat.version);
}

static void
feature_fired(struct zk_watcher *w, enum zk_event e, const char *path)
{
	struct broker *b = CONTAINER_OF(w, struct broker, feature_watch);

	(void)e;
	(void)path;
	zk_get(b->zk, ZK_FEATURE, NULL, feature_read, b);
	zk_exists(b->zk, ZK_FEATURE, &b->feature_watch, feature_read, b);
}

static void
feature_follow(struct broker *b)
{
	feature_fired(&b->feature_watch, ZK_CREATED, ZK_FEATURE);
}

static void
start_controller(void *v)
{
	controller_start(((struct broker *)v)->controller);
}

static void
config_watch_ready(void *ctx, enum err e, const struct errbuf *why)
{
	struct broker *b = ctx;

	if (interrupted(b))
		return;
	if (e != OK) {
		broker_fail(b, e, "reading /config/changes: %s", why->text);
		return;
	}
	net_start(b->net);
	b->serving = true;
	if (b->listeners_again)
		listeners_follow(b);
	schedule_start(b);
	ready_check(b);		/* the controller may have been faster */
}

static void
s10_serve(struct broker *b)
{
	static const struct zk_config_watch_callbacks callbacks = { configs_changed, config_watch_ready };

	loop_call(b->controller_loop, start_controller, b);
	ready_watch(b);
	zk_watcher_init(&b->feature_watch, feature_fired);
	feature_follow(b);
	b->config_watch = zk_config_watch_new(b->zk, b->opt.clock, b->opt.diag, &callbacks, b);
}
