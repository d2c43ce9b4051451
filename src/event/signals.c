/* SPDX-License-Identifier: Apache-2.0
 *
 * event/signals.c - see signals.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/must.h"
#include "event/signals.h"

struct signals {
	struct loop *loop;
	struct watch watch;
	void (*fn)(void *, int);
	void *ctx;
};

static void
ours(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
}

void
signals_block(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;

	ours(&set);
	must_zero(pthread_sigmask(SIG_BLOCK, &set, NULL));
	must_zero(sigaction(SIGPIPE, &ignore, NULL));
}

/* One per call: fn may free the struct, and what is still queued makes the descriptor ready again. */
static void
on_readable(struct watch *w, unsigned ready)
{
	struct signals *s = CONTAINER_OF(w, struct signals, watch);
	struct signalfd_siginfo info;
	ssize_t n = read(w->fd, &info, sizeof(info));

	(void)ready;
	if (n != (ssize_t)sizeof(info)) {
		must(n < 0 && (errno == EAGAIN || errno == EINTR));
		return;
	}
	s->fn(s->ctx, (int)info.ssi_signo);
}

enum err
signals_new(struct loop *loop, void (*fn)(void *ctx, int signo), void *ctx, struct signals **sp, struct errbuf *eb)
{
	struct signals *s;
	sigset_t set;
	enum err e;
	int fd;

	must(*sp == NULL);
	ours(&set);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0) {
		e = err_from_errno(errno);
		errbuf_errno(eb, errno, "signalfd");
		return (e);
	}
	s = xcalloc(1, sizeof(*s));
	s->loop = loop;
	s->fn = fn;
	s->ctx = ctx;
	watch_init(&s->watch, fd, on_readable);
	*sp = s;
	e = watch_add(loop, &s->watch, WATCH_READ, eb);
	if (e != OK)
		signals_free(sp);
	return (e);
}

void
signals_free(struct signals **sp)
{
	struct signals *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	watch_remove(s->loop, &s->watch);
	close(s->watch.fd);
	free(s);
}
