/* SPDX-License-Identifier: Apache-2.0
 *
 * net/addr.h - socket addresses: names to addresses, addresses to text, and one form for IPv4 and IPv6.
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cdefs.h"
#include "base/err.h"

enum { ADDR_TEXT_MAX = 64 };

/* The address of a name (an IPv4 one if it has any, as Java prefers), an address in text (IPv6 also in brackets), or NULL/"" = every address.  May block: never on a loop. */
enum err addr_resolve(const char *host, uint16_t port, struct sockaddr_storage *, socklen_t *, struct errbuf *) MUST_CHECK;
struct in6_addr addr_key(const struct sockaddr_storage *);	/* IPv4 as ::ffff:a.b.c.d; anything else that is not IPv6 as :: */
void	 addr_text(const struct sockaddr_storage *, char text[ADDR_TEXT_MAX]);	/* without port; "" when not IP */
uint16_t addr_port(const struct sockaddr_storage *);

#endif
