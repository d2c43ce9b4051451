/* SPDX-License-Identifier: Apache-2.0
 *
 * net/addr.c - see addr.h.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "net/addr.h"

static void
any_address(uint16_t port, struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in6 *s6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	s6->sin6_family = AF_INET6;
	s6->sin6_port = htons(port);
	s6->sin6_addr = in6addr_any;
	*len = sizeof(*s6);
}

/* "[::1]" is how properties write it, "::1" what the resolver takes. */
static bool
without_brackets(const char *host, char *out, size_t size)
{
	size_t n = strlen(host);

	if (n >= 2 && host[0] == '[' && host[n - 1] == ']')
		return (str_format(out, size, "%.*s", (int)(n - 2), host + 1));
	return (str_copy(out, size, host));
}

/* Java takes a name's IPv4 address first, and clients told "localhost" rely on it. */
static const struct addrinfo *
preferred(const struct addrinfo *first)
{
	for (const struct addrinfo *ai = first; ai != NULL; ai = ai->ai_next)
		if (ai->ai_family == AF_INET)
			return (ai);
	return (first);
}

enum err
addr_resolve(const char *host, uint16_t port, struct sockaddr_storage *ss, socklen_t *len, struct errbuf *eb)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *all = NULL;
	const struct addrinfo *ai;
	char name[256], service[8];
	int r;

	if (host == NULL || host[0] == '\0') {
		any_address(port, ss, len);
		return (OK);
	}
	if (!without_brackets(host, name, sizeof(name))) {
		errbuf_set(eb, "host name \"%.64s...\" is too long", host);
		return (ERR_INVALID);
	}
	snprintf(service, sizeof(service), "%u", (unsigned)port);
	r = getaddrinfo(name, service, &hints, &all);
	if (r != 0) {
		errbuf_set(eb, "host \"%s\": %s", host, gai_strerror(r));
		return (r == EAI_MEMORY ? ERR_NOMEM : ERR_NOTFOUND);
	}
	ai = preferred(all);
	memset(ss, 0, sizeof(*ss));
	memcpy(ss, ai->ai_addr, MIN((size_t)ai->ai_addrlen, sizeof(*ss)));
	*len = ai->ai_addrlen;
	freeaddrinfo(all);
	return (OK);
}

struct in6_addr
addr_key(const struct sockaddr_storage *ss)
{
	struct in6_addr a = in6addr_any;

	if (ss->ss_family == AF_INET6)
		return (((const struct sockaddr_in6 *)ss)->sin6_addr);
	if (ss->ss_family == AF_INET) {
		a.s6_addr[10] = a.s6_addr[11] = 0xff;
		memcpy(a.s6_addr + 12, &((const struct sockaddr_in *)ss)->sin_addr, 4);
	}
	return (a);
}

void
addr_text(const struct sockaddr_storage *ss, char text[ADDR_TEXT_MAX])
{
	struct in6_addr a = addr_key(ss);

	text[0] = '\0';
	if (ss->ss_family != AF_INET && ss->ss_family != AF_INET6)
		return;
	if (IN6_IS_ADDR_V4MAPPED(&a))
		inet_ntop(AF_INET, a.s6_addr + 12, text, ADDR_TEXT_MAX);
	else
		inet_ntop(AF_INET6, &a, text, ADDR_TEXT_MAX);
}

uint16_t
addr_port(const struct sockaddr_storage *ss)
{
	if (ss->ss_family == AF_INET6)
		return (ntohs(((const struct sockaddr_in6 *)ss)->sin6_port));
	if (ss->ss_family == AF_INET)
		return (ntohs(((const struct sockaddr_in *)ss)->sin_port));
	return (0);
}
