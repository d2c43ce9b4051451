/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/shutdown.c - a broker ends: the steps of KafkaServer.shutdown, in its order.  The same way is taken from wherever a start failed:
 * each step skips what is not there.
 *
 *    1 periodic jobs stop
 *    2 no new connections, no new requests; what waits is ended, what waits for ZooKeeper after a grace; answers are sent
 *    3 the controller resigns; configuration is followed no more
 *    4 control requests under way, and groups being loaded or stored, come to their end; network loops stop
 *    5 logs are closed cleanly: flush, trim, snapshots, checkpoints, markers
 *    6 the ZooKeeper session is closed: the ephemerals vanish only now, after the logs are safe; then the keeper hears of the clean end and the
 *      session records go
 *    7 the embedded ZooKeeper ends, behind its last client
 *    8 everything is freed
 *
 * ZOOKEEPER AWAY  Nothing here waits for it longer than ZOOKEEPER_GRACE_MS: the resignation is given up (the end of the session does the same),
 *    a control request that reads configurations goes on without.  A session that cannot be closed is left to the keeper and to the records,
 *    which then are not told of a clean end: they close it when ZooKeeper is back, else it expires.
 *
 * IF IT DIES HERE  Before 6 the keeper (or the records at the next start) closes the session; before the end of 5 the next start recovers.
 */
#include <stdlib.h>

#include "broker/broker_int.h"

enum { POLL_MS = 5 };

static void d2_network(struct broker *);
static void d3_controller(struct broker *);
static void d4_settle(struct broker *);
static void d5_logs(struct broker *);
static void d6_session(struct broker *);
static void d7_embedded(struct broker *);
static void d8_free(struct broker *);

/* ---- 1 ---- */

static bool
periodic_running(const struct broker *b)
{
	for (unsigned i = 0; i < b->nperiodic; i++)
		if (b->periodic[i].running)
			return (true);
	return (false);
}

static void
d1_wait(struct timer *timer)
{
	struct broker *b = CONTAINER_OF(timer, struct broker, wait_timer);

	if (b->blocking || b->listeners_running || periodic_running(b) || b->writing_records || (b->reclaim != NULL && session_reclaim_blocks(b->reclaim)))
		timer_set(b->opt.control, &b->wait_timer, POLL_MS);
	else
		d2_network(b);
}

void
shutdown_run(struct broker *b)
{
	if (b->shutting_down)
		return;
	b->shutting_down = true;
	b->state = BROKER_STOPPING;
	schedule_stop(b);
	ready_stop(b);
	if (b->reclaim != NULL)
		session_reclaim_cancel(b->reclaim);
	timer_init(&b->wait_timer, d1_wait);
	timer_set(b->opt.control, &b->wait_timer, 0);
}

/* ---- 2 ---- */

static void
net_is_down(struct task *task)
{
	struct broker *b = CONTAINER_OF(task, struct broker, net_task);

	timer_cancel(b->opt.control, &b->wait_timer);
	d3_controller(b);
}

/* Requests that wait for ZooKeeper or for the image are answered with an error now: the network is down only when all have their answer. */
static void
d2_time_is_up(struct timer *timer)
{
	struct broker *b = CONTAINER_OF(timer, struct broker, wait_timer);

	admin_stop(b->admin);
	producer_ids_stop(b->producer_ids);
	if (b->controller != NULL)
		controller_refuse_elections(b->controller);
}

static void
d2_network(struct broker *b)
{
	if (b->groups != NULL)
		group_coordinator_stop(b->groups);
	if (b->replicas != NULL)
		replica_manager_stop(b->replicas);
	if (b->net == NULL || !b->serving) {
		d3_controller(b);
		return;
	}
	b->net_task.fn = net_is_down;
	timer_init(&b->wait_timer, d2_time_is_up);
	timer_set(b->opt.control, &b->wait_timer, zk_is_connected(b->zk) ? SHUTDOWN_GRACE_MS : ZOOKEEPER_GRACE_MS);
	net_shutdown(b->net, SHUTDOWN_GRACE_MS, b->opt.control, &b->net_task);
}

/* ---- 3 ---- */

static void
controller_is_down(void *v)
{
	d4_settle(v);
}

static void
controller_resigned(void *v)
{
	struct broker *b = v;

	timer_cancel(b->controller_loop, &b->resign_timer);
	controller_free(&b->controller);
	zk_close(&b->controller_zk);
	loop_call(b->opt.control, controller_is_down, b);
}

/* ZooKeeper does not answer: what is still asked of it answers when the client is closed, and nobody listens. */
static void
resign_given_up(struct timer *timer)
{
	controller_resigned(CONTAINER_OF(timer, struct broker, resign_timer));
}

static void
resign(void *v)
{
	struct broker *b = v;

	timer_init(&b->resign_timer, resign_given_up);
	timer_set(b->controller_loop, &b->resign_timer, zk_is_connected(b->controller_zk) ? ZOOKEEPER_GRACE_MS : 0);
	controller_stop(b->controller, controller_resigned, b);
}

static void
d3_controller(struct broker *b)
{
	zk_config_watch_free(&b->config_watch);
	if (b->admin != NULL)
		admin_stop(b->admin);
	if (b->producer_ids != NULL)
		producer_ids_stop(b->producer_ids);
	if (b->controller == NULL)
		d4_settle(b);
	else
		loop_call(b->controller_loop, resign, b);
}

/* ---- 4 ---- */

static void
close_client(struct broker *b)
{
	if (b->zk == NULL)
		return;
	b->session_gone = !zk_is_connected(b->zk);
	zk_unlisten(b->zk, &b->listener);
	zk_registrar_free(&b->registrar);
	zk_close(&b->zk);
	configs_next_session(b);	/* there is none */
}

static void
d4_poll(struct timer *timer)
{
	struct broker *b = CONTAINER_OF(timer, struct broker, wait_timer);

	if ((b->replicas != NULL && replica_manager_busy(b->replicas)) || (b->groups != NULL && group_coordinator_busy(b->groups))) {
		if (loop_now_ms(b->opt.control) >= b->settle_until_ms && b->zk != NULL && !zk_is_connected(b->zk))
			close_client(b);	/* configurations that are being read are answered by that */
		timer_set(b->opt.control, &b->wait_timer, POLL_MS);
		return;
	}
	for (uint32_t i = 0; i < b->nstarted; i++) {
		loop_stop(b->loops[i]);
		loop_join(b->loops[i]);
	}
	b->nstarted = 0;
	d5_logs(b);
}

static void
d4_settle(struct broker *b)
{
	b->settle_until_ms = loop_now_ms(b->opt.control) + ZOOKEEPER_GRACE_MS;
	timer_init(&b->wait_timer, d4_poll);
	timer_set(b->opt.control, &b->wait_timer, 0);
}

/* ---- 5 ---- */

static void
close_logs(struct broker *b)
{
	if (b->identity_known)
		log_dirs_shutdown(b->log_dirs);
}

static void
d5_logs(struct broker *b)
{
	if (b->log_dirs == NULL || b->workers == NULL)
		d6_session(b);
	else
		broker_blocking(b, close_logs, d6_session);
}

/* ---- 6 ---- */

static void
remove_records(struct broker *b)
{
	struct errbuf eb = ERRBUF_INIT;

	for (uint32_t i = 0; i < b->ndirs; i++)
		if (session_record_remove(b->dirs[i], &eb) != OK)
			diag_warning(b->opt.diag, "zookeeper", "session record in %s: %s", b->dirs[i], eb.text);
}

static void
session_closed(void *v)
{
	struct errbuf eb = ERRBUF_INIT;
	struct broker *b = v;

	if (b->session_gone) {
		diag_warning(b->opt.diag, "zookeeper", "ZooKeeper was away: the session could not be closed%s", b->opt.keeper != NULL ?
		    "; the keeper goes on trying for a while" : "; it ends by its time-out");
		d7_embedded(b);
		return;
	}
	if (b->opt.keeper != NULL && keeper_clean_end(b->opt.keeper, &eb) != OK)
		diag_debug(b->opt.diag, "zookeeper", "the keeper cannot be told of the end: %s", eb.text);
	if (b->records_ours)
		broker_blocking(b, remove_records, d7_embedded);
	else
		d7_embedded(b);
}

static void
d6_session(struct broker *b)
{
	if (b->session == NULL) {
		d7_embedded(b);
		return;
	}
	close_client(b);
	b->opt.zookeeper->close(&b->session, session_closed, b);
}

/* ---- 7, 8 ---- */

static void
stop_controller_loop(struct broker *b)
{
	if (!b->controller_started)
		return;
	loop_stop(b->controller_loop);
	loop_join(b->controller_loop);
	b->controller_started = false;
}

static void
d7_embedded(struct broker *b)
{
	if (b->embedded != NULL)
		embedded_stop(b, d8_free);
	else
		d8_free(b);
}

static void
d8_free(struct broker *b)
{
	stop_controller_loop(b);
	b->state = BROKER_ENDED;
	if (b->failed != OK)
		b->opt.started(b->opt.ctx, b->failed, &b->failure);
	else
		b->opt.ended(b->opt.ctx);
}
