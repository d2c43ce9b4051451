/* SPDX-License-Identifier: Apache-2.0
 *
 * golden.c - see golden.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/unit.h"
#include "test/unit/wire/golden.h"
#include "wire/messages.h"

static const struct wire_message *
message_of(const char *direction, int key)
{
	const struct wire_api *api;

	if (strcmp(direction, "header") == 0)
		return (key == 0 ? &wire_msg_request_header : &wire_msg_response_header);
	api = wire_api(key);
	if (api == NULL)
		return (NULL);
	return (strcmp(direction, "request") == 0 ? api->request : api->response);
}

static bool
hex_decode(const char *hex, size_t len, uint8_t *out)
{
	for (size_t i = 0; i < len; i++) {
		char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' }, *end;

		out[i] = (uint8_t)strtoul(pair, &end, 16);
		if (*end != '\0')
			return (false);
	}
	return (true);
}

static bool
message_line(char *line, void (*fn)(const struct golden *, void *), void *ctx)
{
	struct golden g = { 0 };
	char direction[16], *hex = strrchr(line, ' ');
	int key;
	bool ok;

	if (hex == NULL || sscanf(line, "%15s %d %d %15s", direction, &key, &g.version, g.variant) != 4)
		return (false);
	hex++;
	g.message = message_of(direction, key);
	if (g.message == NULL)
		return (false);
	g.len = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
	g.bytes = malloc(g.len > 0 ? g.len : 1);
	ok = g.bytes != NULL && hex_decode(hex, g.len, g.bytes);
	if (ok && fn != NULL)
		fn(&g, ctx);
	free(g.bytes);
	return (ok);
}

static bool
api_line(const char *line, void (*fn)(const struct golden_api *, void *), void *ctx)
{
	struct golden_api a = { 0 };
	int used, more;

	if (sscanf(line, "api %d %63s %d %d%n", &a.key, a.name, &a.min, &a.max, &used) != 4 || a.max - a.min >= 32)
		return (false);
	for (int v = a.min; v <= a.max; v++, used += more)
		if (sscanf(line + used, " %d/%d%n", &a.request_header[v - a.min], &a.response_header[v - a.min], &more) != 2)
			return (false);
	if (fn != NULL)
		fn(&a, ctx);
	return (true);
}

bool
golden_each(void (*message)(const struct golden *, void *), void (*api)(const struct golden_api *, void *), void *ctx)
{
	char path[1024], *line = NULL;
	size_t size = 0;
	ssize_t n;
	bool ok = true;
	FILE *f;

	snprintf(path, sizeof(path), "%s/test/golden/messages/messages.txt", unit_srcdir());
	f = fopen(path, "r");
	if (f == NULL)
		return (false);
	while (ok && (n = getline(&line, &size, f)) > 0) {
		line[n - 1] = '\0';
		ok = strncmp(line, "api ", 4) == 0 ? api_line(line, api, ctx) : message_line(line, message, ctx);
		if (!ok)
			fprintf(stderr, "%s: cannot read: %.60s\n", path, line);
	}
	free(line);
	fclose(f);
	return (ok);
}
