/* SPDX-License-Identifier: Apache-2.0
 *
 * config/listeners.h - listeners, advertised.listeners and listener.security.protocol.map as values.
 *
 * Ownership  A list owns its text; end it with config_listeners_fini.  Failure: ERR_INVALID and words without the key's name.
 */
#ifndef CONFIG_LISTENERS_H
#define CONFIG_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The numbers are SecurityProtocol ids, as in Kafka's znodes and requests. */
enum security_protocol { PROTOCOL_PLAINTEXT = 0, PROTOCOL_SSL = 1, PROTOCOL_SASL_PLAINTEXT = 2, PROTOCOL_SASL_SSL = 3 };

struct config_listener {
	char	*name;			/* upper case */
	char	*host;			/* "" = every address (listeners) or this host's name (advertised); no brackets */
	uint16_t port;			/* 0 = any free port (listeners only in tests) */
	enum security_protocol protocol;
	int32_t	 max_connections;	/* listener.name.NAME.max.connections, else max.connections, else INT32_MAX; listeners only */
	int32_t	 max_connection_rate;	/* listener.name.NAME.max.connection.creation.rate, likewise */
};

struct config_listeners {
	struct config_listener *items;
	size_t			count;
};

struct listener_protocol { char *name; enum security_protocol protocol; };
struct listener_protocols { struct listener_protocol *items; size_t count; };

const char *security_protocol_name(enum security_protocol);		/* "SASL_SSL" */
bool	 security_protocol_parse(const char *, enum security_protocol *);	/* any case, as Java */

/* "NAME:PROTOCOL,NAME:PROTOCOL": names are put in upper case. */
enum err listener_protocols_parse(const char *text, struct listener_protocols *, struct errbuf *);
void	 listener_protocols_fini(struct listener_protocols *);
bool	 listener_protocols_find(const struct listener_protocols *, const char *name, enum security_protocol *);

/* "NAME://host:port,...": names unique; with distinct_ports also the ports, except one IPv4 and one IPv6 address. */
enum err config_listeners_parse(const char *text, const struct listener_protocols *, bool distinct_ports, struct config_listeners *,
    struct errbuf *);
void	 config_listeners_fini(struct config_listeners *);
const struct config_listener *config_listeners_find(const struct config_listeners *, const char *name);	/* exact, upper-case name */

#endif
