/* SPDX-License-Identifier: Apache-2.0
 *
 * net/transport.h - how bytes move on one connected socket: a table of functions, so that TLS fits under the same connection code.
 *
 * Ownership  A transport owns its descriptor; close() closes it and frees the transport.
 * Threads    The loop of its connection.  No call blocks, except send_file on a file without a descriptor (simulation).  The process ignores SIGPIPE.
 * Failure    NET_IO_ERROR is final; *errp (an errno value, 0 = the file ended early) says why.
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fs.h"

enum net_io {
	NET_IO_OK,		/* *n bytes moved (fewer than asked is progress, not fullness) */
	NET_IO_AGAIN,		/* nothing moved: wait for the direction asked */
	NET_IO_WANT_READ,	/* TLS: a send (or handshake) needs to read first */
	NET_IO_WANT_WRITE,	/* TLS: a receive (or handshake) needs to write first */
	NET_IO_EOF,		/* recv only: the peer sends no more */
	NET_IO_ERROR,
};

struct transport;

struct transport_ops {
	const char *name;
	enum net_io (*handshake)(struct transport *, int *errp);	/* OK: recv and send may be used */
	enum net_io (*recv)(struct transport *, void *, size_t, size_t *n, int *errp);
	/* more: something follows at once, so a small packet is worth holding back. */
	enum net_io (*send)(struct transport *, const struct iovec *, int niov, bool more, size_t *n, int *errp);
	enum net_io (*send_file)(struct transport *, struct file *, uint64_t pos, size_t len, size_t *n, int *errp);
	void	    (*close)(struct transport *);
};

struct transport {
	const struct transport_ops *ops;
	int fd;
};

/* Begins to connect; its handshake says when it is.  The address is IPv4 or IPv6. */
enum err transport_tcp_dial(const struct sockaddr_storage *, socklen_t, struct transport **, struct errbuf *) MUST_CHECK;
/* A plain listening socket, for servers that need nothing of net/listener.h; the port bound is put into *port.  ERR_CONFLICT: in use. */
enum err transport_tcp_listen(const struct sockaddr_storage *, socklen_t, int backlog, int *fd, uint16_t *port, struct errbuf *) MUST_CHECK;
int	 transport_tcp_accept(int fd);	/* a socket for transport_tcp_new; -1, and errno: EAGAIN nobody waits; EMFILE, ENFILE the kernel keeps them */
struct transport *transport_tcp_new(int fd);	/* takes the descriptor (a connected, non-blocking stream socket) */
bool	 transport_peer_ended(const struct transport *);	/* it closed its side, or the connection broke; what it sent before may be unread */
void	 transport_close(struct transport **);	/* accepts a pointer to NULL */

#endif
