/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/attach.c - see attach_int.h.
 *
 * Uses the C client on its own: one handle, whose watcher wakes the calling thread.  A handle given an id attaches to that session or reports it
 * expired; it never makes another.  Asking for a third of the session's time-out keeps the attachment from prolonging it.
 */
#define THREADED
#include <zookeeper/zookeeper.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/must.h"
#include "zk/attach_int.h"

struct attach {
	pthread_mutex_t mutex;
	pthread_cond_t	wake;
	int		state;		/* the newest session state heard of */
};

static void
on_event(zhandle_t *zh, int type, int state, const char *path, void *ctx)
{
	struct attach *a = ctx;

	(void)zh;
	(void)path;
	if (type != ZOO_SESSION_EVENT)
		return;
	pthread_mutex_lock(&a->mutex);
	a->state = state;
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->mutex);
}

static void
quiet(const char *message)
{
	(void)message;
}

static int64_t
boottime_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

/* In slices: the condition's clock stands still while the host sleeps, the deadline's does not. */
static int
wait_for_state(struct attach *a, int64_t deadline_ms)
{
	struct timespec until;
	int state;

	pthread_mutex_lock(&a->mutex);
	while (a->state != ZOO_CONNECTED_STATE && a->state != ZOO_EXPIRED_SESSION_STATE && a->state != ZOO_AUTH_FAILED_STATE &&
	    boottime_ms() < deadline_ms) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 50 * 1000 * 1000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		(void)pthread_cond_timedwait(&a->wake, &a->mutex, &until);
	}
	state = a->state;
	pthread_mutex_unlock(&a->mutex);
	return (state);
}

static zhandle_t *
open_handle(const char *hosts, const struct zk_session_ident *ident, struct attach *a, int64_t deadline_ms)
{
	clientid_t id = { .client_id = ident->id };
	struct timespec pause = { 0, 100 * 1000 * 1000 };
	zhandle_t *zh;

	memcpy(id.passwd, ident->password, sizeof(id.passwd));
	for (;;) {
		zh = zookeeper_init2(hosts, on_event, MAX(ident->timeout_ms / 3, 300), &id, a, ZOO_NO_LOG_CLIENTENV, quiet);
		if (zh != NULL || boottime_ms() >= deadline_ms)
			return (zh);
		nanosleep(&pause, NULL);	/* names that cannot be resolved just now */
	}
}

enum err
zk_attach_and_close(const char *connect, const struct zk_session_ident *ident, int64_t deadline_ms, struct errbuf *eb)
{
	struct attach a = { .mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };
	char *hosts, *chroot;
	zhandle_t *zh;
	int state = 0;
	enum err e;

	must(ident->id != 0);
	e = zk_connect_parse(connect, &hosts, &chroot, eb);
	if (e != OK)
		return (e);
	zh = open_handle(hosts, ident, &a, deadline_ms);
	if (zh != NULL) {
		state = wait_for_state(&a, deadline_ms);
		(void)zookeeper_close(zh);	/* when connected: ends the session; else only frees */
	}
	free(hosts);
	free(chroot);
	if (state == ZOO_CONNECTED_STATE || state == ZOO_EXPIRED_SESSION_STATE)
		return (OK);
	errbuf_set(eb, "no ZooKeeper server could be reached in time");
	return (ERR_TIMEOUT);
}
