/* SPDX-License-Identifier: Apache-2.0
 *
 * config/listeners.c - see listeners.h for the interface.
 *
 * RULES (as Kafka's)
 *   (1) an entry is NAME://HOST:PORT; HOST may be empty, an IPv6 address may stand in brackets; NAME counts in upper case.
 *   (2) every name is in the protocol map, and there once.
 *   (3) ports other than 0 differ; one IPv4 and one IPv6 address may share one.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "config/config_int.h"

static const char *const protocol_names[] = { "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL" };

const char *
security_protocol_name(enum security_protocol p)
{
	return (protocol_names[p]);
}

bool
security_protocol_parse(const char *text, enum security_protocol *p)
{
	size_t i;

	for (i = 0; i < NELEM(protocol_names); i++) {
		if (strcasecmp(text, protocol_names[i]) == 0) {
			*p = (enum security_protocol)i;
			return (true);
		}
	}
	return (false);
}

static char *
upper(const char *s, size_t len)
{
	char *u = xstrndup(s, len);
	size_t i;

	for (i = 0; u[i] != '\0'; i++)
		u[i] = (char)toupper((unsigned char)u[i]);
	return (u);
}

/* ---- the protocol map ---- */

static enum err
add_protocol(struct listener_protocols *m, const char *item, struct errbuf *eb)
{
	const char *colon = strrchr(item, ':');
	enum security_protocol protocol;
	char *name, *word, *raw;
	bool known;
	size_t i;

	if (colon == NULL) {
		errbuf_set(eb, "\"%s\" is not NAME:PROTOCOL", item);
		return (ERR_INVALID);
	}
	word = config_trim(colon + 1);
	known = security_protocol_parse(word, &protocol);
	if (!known)
		errbuf_set(eb, "\"%s\" is no security protocol (PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL)", word);
	free(word);
	if (!known)
		return (ERR_INVALID);
	raw = xstrndup(item, (size_t)(colon - item));
	word = config_trim(raw);
	name = upper(word, strlen(word));
	free(raw);
	free(word);
	for (i = 0; i < m->count; i++) {
		if (strcmp(m->items[i].name, name) == 0) {	/* the last one counts */
			m->items[i].protocol = protocol;
			free(name);
			return (OK);
		}
	}
	m->items[m->count++] = (struct listener_protocol){ name, protocol };
	return (OK);
}

enum err
listener_protocols_parse(const char *text, struct listener_protocols *m, struct errbuf *eb)
{
	struct config_list items = config_list_split(text, true);
	enum err e = OK;
	size_t i;

	*m = (struct listener_protocols){ NULL, 0 };
	m->items = xcalloc(items.count ? items.count : 1, sizeof(*m->items));
	for (i = 0; e == OK && i < items.count; i++)
		e = add_protocol(m, items.items[i], eb);
	if (e != OK)
		listener_protocols_fini(m);
	config_list_fini(&items);
	return (e);
}

void
listener_protocols_fini(struct listener_protocols *m)
{
	size_t i;

	for (i = 0; i < m->count; i++)
		free(m->items[i].name);
	free(m->items);
	*m = (struct listener_protocols){ NULL, 0 };
}

bool
listener_protocols_find(const struct listener_protocols *m, const char *name, enum security_protocol *p)
{
	size_t i;

	for (i = 0; i < m->count; i++) {
		if (strcmp(m->items[i].name, name) == 0) {
			*p = m->items[i].protocol;
			return (true);
		}
	}
	return (false);
}

/* ---- endpoints ---- */

/* [host, host + len) without brackets, when every character may stand in a host name or address. */
static bool
take_host(const char *host, size_t len, char **out)
{
	size_t i;

	if (len > 0 && host[0] == '[') {
		host++;
		len--;
	}
	if (len > 0 && host[len - 1] == ']')
		len--;
	for (i = 0; i < len; i++) {
		if (!isalnum((unsigned char)host[i]) && strchr("-%._:", host[i]) == NULL)
			return (false);
	}
	*out = xstrndup(host, len);
	return (true);
}

static const char *
last_scheme(const char *item)	/* "://" */
{
	const char *s = NULL, *next = item;

	while ((next = strstr(next, "://")) != NULL)
		s = next++;
	return (s);
}

/* Rule (1). */
static enum err
parse_endpoint(const char *item, struct config_listener *l, struct errbuf *eb)
{
	const char *scheme = last_scheme(item), *colon = strrchr(item, ':');
	int32_t port;

	if (scheme == NULL || colon == scheme || !str_to_i32(slice_str(colon + 1), &port) || colon[1] == '+') {
		errbuf_set(eb, "\"%s\" is not NAME://HOST:PORT", item);
		return (ERR_INVALID);
	}
	if (port < 0 || port > 65535) {
		errbuf_set(eb, "\"%s\": the port is not from 0 to 65535", item);
		return (ERR_INVALID);
	}
	if (!take_host(scheme + 3, (size_t)(colon - scheme - 3), &l->host)) {
		errbuf_set(eb, "\"%s\": a character that no host name has", item);
		return (ERR_INVALID);
	}
	l->name = upper(item, (size_t)(scheme - item));
	l->port = (uint16_t)port;
	l->max_connections = l->max_connection_rate = INT32_MAX;
	return (OK);
}

static int
family(const char *host)	/* 4, 6 or 0 */
{
	unsigned char addr[16];
	char buf[64];
	char *zone;

	if (!str_copy(buf, sizeof(buf), host))
		return (0);
	if ((zone = strchr(buf, '%')) != NULL)
		*zone = '\0';
	return (inet_pton(AF_INET, buf, addr) == 1 ? 4 : inet_pton(AF_INET6, buf, addr) == 1 ? 6 : 0);
}

/* Rules (2) and (3) for the last one against all before it. */
static enum err
check_last(const struct config_listeners *ls, bool distinct_ports, struct errbuf *eb)
{
	const struct config_listener *l = &ls->items[ls->count - 1], *o;
	size_t i, same = 0;

	for (i = 0; i + 1 < ls->count; i++) {
		o = &ls->items[i];
		if (strcmp(o->name, l->name) == 0) {
			errbuf_set(eb, "the name %s is there twice", l->name);
			return (ERR_INVALID);
		}
		if (!distinct_ports || l->port == 0 || o->port != l->port)
			continue;
		if (++same > 1 || family(o->host) + family(l->host) != 4 + 6) {
			errbuf_set(eb, "port %u is there twice, which only one IPv4 and one IPv6 address may share", l->port);
			return (ERR_INVALID);
		}
	}
	return (OK);
}

static enum err
add_endpoint(struct config_listeners *ls, const char *item, const struct listener_protocols *m, bool distinct_ports, struct errbuf *eb)
{
	struct config_listener *l = &ls->items[ls->count];
	enum err e = parse_endpoint(item, l, eb);

	if (e != OK)
		return (e);
	ls->count++;
	if (!listener_protocols_find(m, l->name, &l->protocol)) {
		errbuf_set(eb, "%s has no protocol in listener.security.protocol.map", l->name);
		return (ERR_INVALID);
	}
	return (check_last(ls, distinct_ports, eb));
}

enum err
config_listeners_parse(const char *text, const struct listener_protocols *m, bool distinct_ports, struct config_listeners *ls,
    struct errbuf *eb)
{
	struct config_list items = config_list_split(text, true);
	enum err e = OK;
	size_t i;

	*ls = (struct config_listeners){ NULL, 0 };
	ls->items = xcalloc(items.count ? items.count : 1, sizeof(*ls->items));
	for (i = 0; e == OK && i < items.count; i++)
		e = add_endpoint(ls, items.items[i], m, distinct_ports, eb);
	if (e != OK)
		config_listeners_fini(ls);
	config_list_fini(&items);
	return (e);
}

void
config_listeners_fini(struct config_listeners *ls)
{
	size_t i;

	for (i = 0; i < ls->count; i++) {
		free(ls->items[i].name);
		free(ls->items[i].host);
	}
	free(ls->items);
	*ls = (struct config_listeners){ NULL, 0 };
}

const struct config_listener *
config_listeners_find(const struct config_listeners *ls, const char *name)
{
	size_t i;

	for (i = 0; i < ls->count; i++) {
		if (strcmp(ls->items[i].name, name) == 0)
			return (&ls->items[i]);
	}
	return (NULL);
}
