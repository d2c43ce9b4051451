/* SPDX-License-Identifier: Apache-2.0
 *
 * base/map_guard.c - reads of mapped memory that may fault.  See fs.h.
 *
 * THEORY  A page of a mapped file that cannot be read (bad sector, file cut by somebody else) raises SIGBUS in the thread that touched
 *         it.  Each thread keeps a pointer to the jump buffer of its innermost guard; the handler jumps there.  A SIGBUS outside a guard is a
 *         crash as before.  The handler runs with SA_NODEFER, so nothing was blocked on the way in and no signal mask has to be saved: a
 *         guard costs no system call.  Signal dispositions belong to the process, so this is one of its few pieces of global state.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "base/fs.h"
#include "base/must.h"

/* ThreadSanitizer puts a handler of its own before ours and blocks everything in it. */
#ifdef OTTLA_TSAN
#define SAVE_MASK	1
#else
#define SAVE_MASK	0
#endif

static _Thread_local sigjmp_buf *volatile innermost;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	if (innermost != NULL)
		siglongjmp(*innermost, 1);
	signal(sig, SIG_DFL);	/* returning runs the faulting instruction again: an ordinary crash */
}

static void
install(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = on_sigbus;
	sa.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigemptyset(&sa.sa_mask);
	must_zero(sigaction(SIGBUS, &sa, NULL));
}

enum err
map_guard(void (*fn)(void *), void *ctx)
{
	sigjmp_buf here, *volatile outer = innermost;

	pthread_once(&once, install);
	if (sigsetjmp(here, SAVE_MASK) != 0) {
		innermost = outer;
		return (ERR_IO);
	}
	innermost = &here;
	fn(ctx);
	innermost = outer;
	return (OK);
}
