/* SPDX-License-Identifier: Apache-2.0
 *
 * event/thread.c - see thread_int.h.
 */
#include <errno.h>
#include <signal.h>

#include "base/must.h"
#include "event/thread_int.h"

static void
outside_signals(sigset_t *set)
{
	static const int own_faults[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };

	sigfillset(set);
	for (size_t i = 0; i < NELEM(own_faults); i++)
		sigdelset(set, own_faults[i]);
}

enum err
thread_start(pthread_t *thread, const char *name, void *(*fn)(void *), void *ctx, struct errbuf *eb)
{
	sigset_t block, before;
	int rc;

	outside_signals(&block);
	must_zero(pthread_sigmask(SIG_BLOCK, &block, &before));
	rc = pthread_create(thread, NULL, fn, ctx);
	must_zero(pthread_sigmask(SIG_SETMASK, &before, NULL));
	if (rc != 0) {
		errbuf_errno(eb, rc, "starting thread %s", name);
		return (rc == EAGAIN ? ERR_LIMIT : err_from_errno(rc));
	}
	(void)pthread_setname_np(*thread, name);	/* only a name: too long is no harm */
	return (OK);
}
