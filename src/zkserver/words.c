/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/words.c - see server_int.h: the commands of four letters, for people with nc and for monitors.
 *
 * The lines are ZooKeeper's, as far as there is something to put into them: tools read them by their words.  Latencies are not measured and
 * stand as 0.
 */
#include <inttypes.h>

#include "base/str.h"
#include "zkserver/server_int.h"

#define WORD(a, b, c, d)	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define VERSION_LINE		"Zookeeper version: 3.8.0-ottla-" PACKAGE_VERSION ", embedded in ottlad\n"

static void
list_clients(struct zkserver *s, struct strbuf *out, bool brief)
{
	const struct client *c;

	TAILQ_FOREACH(c, &s->clients, link) {
		strbuf_add(out, " /%s:%u[%d](queued=%d,recved=%" PRIu64 ",sent=%" PRIu64, c->host, (unsigned)c->port, c->connected ? 1 : 0,
		    c->is_waiting ? 1 : 0, c->received, c->answered);
		if (!brief && c->session != NULL)
			strbuf_add(out, ",sid=0x%" PRIx64 ",to=%d", (uint64_t)c->session->id, (int)c->session->timeout_ms);
		strbuf_add(out, ")\n");
	}
}

static void
totals(struct zkserver *s, struct strbuf *out)
{
	strbuf_add(out, "Latency min/avg/max: 0/0.0/0\nReceived: %" PRIu64 "\nSent: %" PRIu64 "\nConnections: %u\nOutstanding: 0\nZxid: 0x%" PRIx64
	    "\nMode: standalone\nNode count: %u\n", s->received, s->answered, (unsigned)s->nclients, (uint64_t)zk_tree_zxid(s->tree),
	    (unsigned)zk_tree_nodes(s->tree));
}

static void
ruok(struct zkserver *s, struct strbuf *out)
{
	(void)s;
	strbuf_add(out, "imok");
}

static void
srvr(struct zkserver *s, struct strbuf *out)
{
	strbuf_add(out, VERSION_LINE);
	totals(s, out);
}

static void
stat_(struct zkserver *s, struct strbuf *out)
{
	strbuf_add(out, VERSION_LINE "Clients:\n");
	list_clients(s, out, true);
	strbuf_add(out, "\n");
	totals(s, out);
}

static void
cons(struct zkserver *s, struct strbuf *out)
{
	list_clients(s, out, false);
	strbuf_add(out, "\n");
}

static void
mntr(struct zkserver *s, struct strbuf *out)
{
	strbuf_add(out, "zk_version\t3.8.0-ottla-" PACKAGE_VERSION "\nzk_server_state\tstandalone\nzk_packets_received\t%" PRIu64 "\nzk_packets_sent\t%" PRIu64
	    "\nzk_num_alive_connections\t%u\nzk_outstanding_requests\t0\nzk_znode_count\t%u\nzk_watch_count\t%u\nzk_global_sessions\t%u\n",
	    s->received, s->answered, (unsigned)s->nclients, (unsigned)zk_tree_nodes(s->tree), (unsigned)zk_tree_watch_count(s->tree),
	    (unsigned)HASH_COUNT(s->sessions));
}

static void
ephemeral(void *ctx, const char *path)
{
	strbuf_add(ctx, "\t%s\n", path);
}

static void
dump(struct zkserver *s, struct strbuf *out)
{
	const struct live *l, *next;

	strbuf_add(out, "SessionTracker dump:\nSession Sets (%u)/(%u):\n", (unsigned)HASH_COUNT(s->sessions), (unsigned)HASH_COUNT(s->sessions));
	HASH_ITER(hh, s->sessions, l, next)
		strbuf_add(out, "\t0x%" PRIx64 "\t%dms\n", (uint64_t)l->id, (int)l->timeout_ms);
	strbuf_add(out, "ephemeral nodes dump:\n");
	HASH_ITER(hh, s->sessions, l, next) {
		strbuf_add(out, "0x%" PRIx64 ":\n", (uint64_t)l->id);
		zk_tree_ephemerals(s->tree, l->id, ephemeral, out);
	}
	strbuf_add(out, "Connections dump:\n");
	list_clients(s, out, false);
}

bool
words(struct client *c, uint32_t word)
{
	static const struct {
		uint32_t word;
		void (*fn)(struct zkserver *, struct strbuf *);
	} rows[] = {
		{ WORD('r', 'u', 'o', 'k'), ruok }, { WORD('s', 'r', 'v', 'r'), srvr }, { WORD('s', 't', 'a', 't'), stat_ },
		{ WORD('c', 'o', 'n', 's'), cons }, { WORD('m', 'n', 't', 'r'), mntr }, { WORD('d', 'u', 'm', 'p'), dump },
	};
	struct strbuf text = STRBUF_INIT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].word == word) {
			rows[i].fn(c->s, &text);
			jute_put_raw(zkconn_out(c), slice_str(strbuf_str(&text)));
			strbuf_fini(&text);
			zkconn_close_after(c);
			return (true);
		}
	return (false);
}
