/* SPDX-License-Identifier: Apache-2.0
 *
 * net/transport_tcp.c - the plain transport: see transport.h.
 *
 * sendfile(2) has no MSG_NOSIGNAL: the process ignores SIGPIPE (main's business), a broken connection is then EPIPE like any other error.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cdefs.h"
#include "base/limits.h"
#include "base/must.h"
#include "net/addr.h"
#include "net/transport.h"

enum { BOUNCE_BYTES = 32768 };		/* files without a descriptor go through the stack in pieces of this */

static enum net_io
failed(int errnum, int *errp)
{
	if (errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EINTR)
		return (NET_IO_AGAIN);
	*errp = errnum;
	return (NET_IO_ERROR);
}

static enum net_io
tcp_handshake(struct transport *t, int *errp)
{
	(void)t;
	(void)errp;
	return (NET_IO_OK);
}

/* Of a socket that was dialled: writable means connected, or refused. */
static enum net_io
dialled_handshake(struct transport *t, int *errp)
{
	struct pollfd p = { .fd = t->fd, .events = POLLOUT };
	int error = 0, on = 1;
	socklen_t len = sizeof(error);

	if (poll(&p, 1, 0) <= 0)
		return (NET_IO_WANT_WRITE);
	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0)
		return (failed(error, errp));
	(void)setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return (NET_IO_OK);
}

static enum net_io
tcp_recv(struct transport *t, void *buf, size_t len, size_t *n, int *errp)
{
	ssize_t got = recv(t->fd, buf, len, MSG_DONTWAIT);

	*n = 0;
	if (got < 0)
		return (failed(errno, errp));
	if (got == 0)
		return (NET_IO_EOF);
	*n = (size_t)got;
	return (NET_IO_OK);
}

static enum net_io
tcp_send(struct transport *t, const struct iovec *iov, int niov, bool more, size_t *n, int *errp)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)niov };
	ssize_t put = sendmsg(t->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));

	*n = 0;
	if (put < 0)
		return (failed(errno, errp));
	*n = (size_t)put;
	return (NET_IO_OK);
}

/* A file that has no descriptor (a simulated disk): read a piece and send it; what the socket does not take is read again next time. */
static enum net_io
tcp_send_bounced(struct transport *t, struct file *f, uint64_t pos, size_t len, size_t *n, int *errp)
{
	uint8_t piece[BOUNCE_BYTES];
	struct iovec iov = { .iov_base = piece };
	size_t got = 0;

	if (file_pread(f, piece, MIN(len, sizeof(piece)), pos, &got, NULL) != OK) {
		*errp = EIO;
		return (NET_IO_ERROR);
	}
	if (got == 0) {
		*errp = 0;
		return (NET_IO_ERROR);
	}
	iov.iov_len = got;
	return (tcp_send(t, &iov, 1, got < len, n, errp));
}

static enum net_io
tcp_send_file(struct transport *t, struct file *f, uint64_t pos, size_t len, size_t *n, int *errp)
{
	off_t off = (off_t)pos;
	ssize_t put;

	*n = 0;
	if (f->fd < 0)
		return (tcp_send_bounced(t, f, pos, len, n, errp));
	put = sendfile(t->fd, f->fd, &off, MIN(len, (size_t)LIMIT_SENDFILE_MAX));
	if (put < 0)
		return (failed(errno, errp));
	if (put == 0) {
		*errp = 0;
		return (NET_IO_ERROR);
	}
	*n = (size_t)put;
	return (NET_IO_OK);
}

static void
tcp_close(struct transport *t)
{
	close(t->fd);
	free(t);
}

static const struct transport_ops tcp_ops = {
	.name = "tcp",
	.handshake = tcp_handshake,
	.recv = tcp_recv,
	.send = tcp_send,
	.send_file = tcp_send_file,
	.close = tcp_close,
};

static const struct transport_ops dialled_ops = {
	.name = "tcp",
	.handshake = dialled_handshake,
	.recv = tcp_recv,
	.send = tcp_send,
	.send_file = tcp_send_file,
	.close = tcp_close,
};

static struct transport *
transport_of(int fd, const struct transport_ops *ops)
{
	struct transport *t = xcalloc(1, sizeof(*t));

	must(fd >= 0);
	t->ops = ops;
	t->fd = fd;
	return (t);
}

struct transport *
transport_tcp_new(int fd)
{
	return (transport_of(fd, &tcp_ops));
}

enum err
transport_tcp_dial(const struct sockaddr_storage *ss, socklen_t len, struct transport **tp, struct errbuf *eb)
{
	int fd = socket(ss->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), errnum;

	if (fd < 0) {
		errbuf_errno(eb, errno, "socket");
		return (ERR_NET);
	}
	if (connect(fd, (const struct sockaddr *)ss, len) != 0 && errno != EINPROGRESS) {
		errnum = errno;
		close(fd);
		errbuf_errno(eb, errnum, "connect");
		return (ERR_NET);
	}
	*tp = transport_of(fd, &dialled_ops);
	return (OK);
}

enum err
transport_tcp_listen(const struct sockaddr_storage *ss, socklen_t len, int backlog, int *fdp, uint16_t *port, struct errbuf *eb)
{
	int fd = socket(ss->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, errnum;
	struct sockaddr_storage bound = { 0 };
	socklen_t bound_len = sizeof(bound);

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 && bind(fd, (const struct sockaddr *)ss, len) == 0 &&
	    listen(fd, backlog) == 0 && getsockname(fd, (struct sockaddr *)&bound, &bound_len) == 0) {
		*port = addr_port(&bound);
		*fdp = fd;
		return (OK);
	}
	errnum = errno;
	if (fd >= 0)
		close(fd);
	errbuf_errno(eb, errnum, "listen");
	return (errnum == EADDRINUSE ? ERR_CONFLICT : err_from_errno(errnum));
}

int
transport_tcp_accept(int fd)
{
	int s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

	if (s >= 0)
		(void)setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return (s);
}

bool
transport_peer_ended(const struct transport *t)
{
	struct pollfd p = { .fd = t->fd, .events = POLLRDHUP };

	return (poll(&p, 1, 0) > 0);
}

void
transport_close(struct transport **tp)
{
	if (*tp != NULL)
		(*tp)->ops->close(*tp);
	*tp = NULL;
}
