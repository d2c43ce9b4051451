/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/keeper.c - see keeper.h.
 *
 * THE CHILD  leaves the parent's session and terminal (setsid), ignores what would stop it, closes every descriptor but standard error, the
 *	      pipe and the pidfd of its parent, and waits for the two.  Messages are whole structures no longer than PIPE_BUF, so a write is all
 *	      or nothing and a read gets whole ones.  The end of the pipe alone says nothing (a child of the daemon may have held it): only the
 *	      pidfd does.
 * AT THE DEATH  it reads what is still in the pipe; then, unless the last word was a clean end, it attaches to the session by id and password
 *	      and closes it.  It never attaches with id 0, which would open a new session.
 * TIME	      Attaching tells the server that the session lives, for the time-out asked for; that is why it asks for a third of the
 *	      real one and gives up when a third has passed since the death: whatever happens, the session does not outlive what it
 *	      would have had without us.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/str.h"
#include "zk/attach_int.h"
#include "zk/keeper.h"

enum keeper_word { KEEPER_SESSION = 1, KEEPER_CLEAN_END = 2 };

enum { CONNECT_MAX = 3000 };

struct keeper_message {
	uint32_t word;
	struct zk_session_ident ident;
	char	 connect[CONNECT_MAX];
};
static_assert(sizeof(struct keeper_message) <= PIPE_BUF, "one write must be one message");

struct keeper {
	pid_t pid;
	int   pipe;		/* write end */
};

/* ---- the child ---- */
static void
ignore_signals(void)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT, SIGUSR1, SIGUSR2 };
	size_t i;

	for (i = 0; i < NELEM(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

static void
close_all_but(int keep_a, int keep_b)
{
	int low = MIN(keep_a, keep_b), high = MAX(keep_a, keep_b), null;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	if (low > 3)
		(void)close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, ~0U, 0);
}

static bool
parent_is_dead(int pidfd)
{
	struct pollfd p = { pidfd, POLLIN, 0 };

	return (poll(&p, 1, 0) > 0);
}

/* Keeps the newest message; false at the end of the pipe. */
static bool
take_messages(int fd, struct keeper_message *newest)
{
	struct keeper_message m;
	ssize_t n;

	while ((n = read(fd, &m, sizeof(m))) == (ssize_t)sizeof(m)) {
		m.connect[CONNECT_MAX - 1] = '\0';
		*newest = m;
	}
	return (n != 0);
}

static void
wait_for_death(int pipe_fd, int pidfd, struct keeper_message *newest)
{
	struct pollfd p[2] = { { pidfd, POLLIN, 0 }, { pipe_fd, POLLIN, 0 } };

	while (!parent_is_dead(pidfd)) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			_exit(1);
		if (p[1].fd >= 0 && p[1].revents != 0 && !take_messages(pipe_fd, newest)) {
			if (newest->word == KEEPER_CLEAN_END)
				_exit(0);	/* it closed the pipe and its session: nothing to wait for */
			p[1].fd = -1;
		}
	}
	(void)take_messages(pipe_fd, newest);
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

NORETURN static void
keeper_main(int pipe_fd, int pidfd, pid_t parent)
{
	struct keeper_message newest = { .word = KEEPER_CLEAN_END };
	struct errbuf eb = ERRBUF_INIT;
	int64_t death;

	setsid();
	ignore_signals();
	(void)prctl(PR_SET_NAME, "ottla-keeper");
	close_all_but(pipe_fd, pidfd);
	if (getppid() != parent)
		_exit(0);		/* it died before we could watch it: there was no session yet */
	wait_for_death(pipe_fd, pidfd, &newest);
	death = now_ms();
	if (newest.word != KEEPER_SESSION || newest.ident.id == 0)
		_exit(0);
	if (zk_attach_and_close(newest.connect, &newest.ident, death + newest.ident.timeout_ms / 3, &eb) != OK)
		fprintf(stderr, "ottla-keeper: the ZooKeeper session was not closed: %s\n", eb.text);
	_exit(0);
}

/* ---- the parent ---- */
static int
open_pidfd(pid_t pid)
{
	return ((int)syscall(SYS_pidfd_open, pid, 0));
}

static void
close_both(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

enum err
keeper_start(struct keeper **kp, struct errbuf *eb)
{
	pid_t pid, parent = getpid();
	struct keeper *k;
	int fds[2], pidfd;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		errbuf_errno(eb, errno, "keeper: pipe");
		return (ERR_IO);
	}
	pidfd = open_pidfd(parent);
	if (pidfd < 0) {
		errbuf_errno(eb, errno, "keeper: pidfd_open");
		close_both(fds);
		return (ERR_UNSUPPORTED);
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		errbuf_errno(eb, errno, "keeper: fork");
		close_both(fds);
		close(pidfd);
		return (ERR_LIMIT);
	}
	if (pid == 0) {
		close(fds[1]);
		keeper_main(fds[0], pidfd, parent);
	}
	close(fds[0]);
	close(pidfd);
	k = xcalloc(1, sizeof(*k));
	k->pid = pid;
	k->pipe = fds[1];
	*kp = k;
	return (OK);
}

pid_t
keeper_pid(const struct keeper *k)
{
	return (k->pid);
}

/* A write into a pipe that nobody reads is an error here, never a signal. */
static enum err
keeper_say(struct keeper *k, const struct keeper_message *m, struct errbuf *eb)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	ssize_t n;
	int e;

	sigaction(SIGPIPE, NULL, &before);
	if (before.sa_handler == SIG_DFL)
		sigaction(SIGPIPE, &ignore, NULL);
	n = write(k->pipe, m, sizeof(*m));
	e = errno;
	if (before.sa_handler == SIG_DFL)
		sigaction(SIGPIPE, &before, NULL);
	if (n == (ssize_t)sizeof(*m))
		return (OK);
	errbuf_errno(eb, e, "telling the keeper (pid %d)", (int)k->pid);
	return (ERR_IO);
}

enum err
keeper_session(struct keeper *k, const char *connect, const struct zk_session_ident *ident, struct errbuf *eb)
{
	struct keeper_message m = { .word = KEEPER_SESSION, .ident = *ident };

	must(ident->id != 0);
	if (!str_copy(m.connect, sizeof(m.connect), connect)) {
		errbuf_set(eb, "telling the keeper: zookeeper.connect is longer than %d bytes", CONNECT_MAX - 1);
		return (ERR_LIMIT);
	}
	return (keeper_say(k, &m, eb));
}

enum err
keeper_clean_end(struct keeper *k, struct errbuf *eb)
{
	struct keeper_message m = { .word = KEEPER_CLEAN_END };

	return (keeper_say(k, &m, eb));
}

void
keeper_free(struct keeper **kp)
{
	struct keeper *k = *kp;

	if (k == NULL)
		return;
	*kp = NULL;
	close(k->pipe);
	(void)waitpid(k->pid, NULL, WNOHANG);
	free(k);
}
