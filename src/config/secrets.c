/* SPDX-License-Identifier: Apache-2.0
 *
 * config/secrets.c - passwords among the dynamic settings: clear in a struct config, encoded in ZooKeeper (password.h).
 *
 * A secret is every name that ends in the name of a dynamic password setting, whatever stands in front (listener.name.X.), as in Java.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "config/alter.h"
#include "config/config_int.h"
#include "config/password.h"

static bool
ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return (n >= m && strcmp(name + n - m, end) == 0);
}

bool
config_is_secret(const char *name)
{
	for (size_t i = 0; i < config_broker_key_count; i++) {
		const struct config_key *key = &config_broker_keys[i];

		if (key->type == CONFIG_PASSWORD && key->mode != CONFIG_READ_ONLY && ends_with(name, key->name))
			return (true);
	}
	return (false);
}

bool
config_secret_open(const struct config *c, const char *encoded, char **clear, struct errbuf *eb)
{
	*clear = NULL;
	if (c->password_encoder_secret == NULL) {
		errbuf_set(eb, "password.encoder.secret is not set");
		return (false);
	}
	return (password_decode(c->password_encoder_secret, encoded, clear, eb) == OK);
}

static enum err
seal(const struct config *c, const char *clear, struct random *r, char **out, struct errbuf *eb)
{
	struct password_encoder pe = { c->password_encoder_secret, c->password_encoder_keyfactory_algorithm,
	    c->password_encoder_cipher_algorithm, c->password_encoder_key_length, c->password_encoder_iterations };

	return (password_encode(&pe, clear, r, out, eb));
}

static void
set_wiped(struct config_map *m, const char *name, char *value)
{
	config_map_set(m, name, value);
	free(value);
}

static bool
is_wished(const struct config_wish *w, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_str(w[i].name, name))
			return (true);
	return (false);
}

/* Another secret made it.  Java drops such an entry with the next change of any other; here it stays for the day the secret is right again. */
static void
keep_unreadable(const struct config *c, const struct config_map *current, const struct config_wish *w, size_t n, struct config_map *out)
{
	struct errbuf eb = ERRBUF_INIT;
	char *clear;

	for (size_t i = 0; current != NULL && i < current->count; i++) {
		const struct config_map_entry *e = &current->entries[i];

		if (!config_is_secret(e->name) || is_wished(w, n, e->name) || config_map_find(out, e->name) != NULL)
			continue;
		if (!config_secret_open(c, e->value, &clear, &eb))
			config_map_set(out, e->name, e->value);
		free(clear);
	}
}

static size_t
count_secrets(const struct config_map *m)
{
	size_t n = 0;

	for (size_t i = 0; m != NULL && i < m->count; i++)
		n += config_is_secret(m->entries[i].name);
	return (n);
}

enum kerr
config_seal(const struct config *c, bool per_broker, const struct config_map *current, const struct config_wish *w, size_t n,
    struct config_map *out, struct random *r, struct errbuf *eb)
{
	size_t secrets = count_secrets(out);

	if (secrets > LIMIT_DYNAMIC_PASSWORDS_MAX && secrets > count_secrets(current)) {
		errbuf_set(eb, "%zu passwords among the dynamic settings; %d at most", secrets, LIMIT_DYNAMIC_PASSWORDS_MAX);
		return (KERR_INVALID_CONFIG);
	}
	for (size_t i = 0; i < out->count; i++) {
		const char *name = out->entries[i].name;
		char *sealed;

		if (!config_is_secret(name))
			continue;
		if (!per_broker) {
			errbuf_set(eb, "%s: a password can be set for one broker, not for the whole cluster", name);
			return (KERR_INVALID_CONFIG);
		}
		if (c->password_encoder_secret == NULL) {
			errbuf_set(eb, "%s: a password cannot be kept in ZooKeeper: password.encoder.secret is not set in the file of this broker",
			    name);
			return (KERR_INVALID_CONFIG);
		}
		if (seal(c, out->entries[i].value, r, &sealed, eb) != OK) {
			errbuf_add(eb, "password.encoder");
			return (KERR_UNKNOWN_SERVER_ERROR);	/* Java: GeneralSecurityException */
		}
		set_wiped(out, name, sealed);
	}
	keep_unreadable(c, current, w, n, out);
	return (KERR_NONE);
}

bool
config_reseal(const struct config *c, struct config_map *stored, struct random *r, struct config_report *report)
{
	bool changed = false;

	if (c->password_encoder_old_secret == NULL || c->password_encoder_secret == NULL)
		return (false);
	for (size_t i = 0; i < stored->count; i++) {
		const char *name = stored->entries[i].name;
		struct errbuf eb = ERRBUF_INIT;
		char *clear, *sealed;

		if (!config_is_secret(name) ||
		    password_decode(c->password_encoder_old_secret, stored->entries[i].value, &clear, &eb) != OK)
			continue;	/* the new secret's already, or neither's: whoever opens it says so */
		if (seal(c, clear, r, &sealed, &eb) == OK) {
			set_wiped(stored, name, sealed);
			changed = true;
		} else
			config_report_add(report, CONFIG_ERROR, "%s cannot be encoded with password.encoder.secret: %s", name, eb.text);
		free(clear);
	}
	return (changed);
}
