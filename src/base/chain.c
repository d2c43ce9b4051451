/* SPDX-License-Identifier: Apache-2.0
 *
 * base/chain.c - see chain.h.
 *
 * An empty chain is recognised by `first` alone, so a zeroed chain is empty and an empty chain may be copied by value.
 */
#include "base/chain.h"
#include "base/must.h"

void
chain_init(struct chain *c)
{
	*c = (struct chain){ .last = &c->first };
}

static struct chain_item *
add_item(struct chain *c, struct arena *a, enum chain_kind kind, uint64_t len)
{
	struct chain_item *it = ARENA_NEW(a, struct chain_item);

	if (it == NULL)
		return (NULL);
	it->kind = kind;
	if (c->first == NULL)
		c->last = &c->first;
	*c->last = it;
	c->last = &it->next;
	c->len += len;
	return (it);
}

bool
chain_add_mem(struct chain *c, struct arena *a, struct slice mem)
{
	struct chain_item *it;

	if (mem.len == 0)	/* nothing to send: no item */
		return (true);
	it = add_item(c, a, CHAIN_MEM, mem.len);
	if (it == NULL)
		return (false);
	it->mem = mem;
	return (true);
}

bool
chain_add_file(struct chain *c, struct arena *a, struct file_range *range)
{
	struct chain_item *it;

	must(range->file != NULL);
	if (range->len == 0) {
		file_range_fini(range);
		return (true);
	}
	it = add_item(c, a, CHAIN_FILE, range->len);
	if (it == NULL)
		return (false);
	it->file = *range;
	*range = (struct file_range){ 0 };
	return (true);
}

bool
chain_add_source(struct chain *c, struct arena *a, struct chain_source **source, uint64_t len)
{
	struct chain_item *it;

	must(*source != NULL);
	if (len == 0) {
		(*source)->ops->free(*source);
		*source = NULL;
		return (true);
	}
	it = add_item(c, a, CHAIN_SOURCE, len);
	if (it == NULL)
		return (false);
	it->made = (struct chain_made){ .source = *source, .left = len };
	*source = NULL;
	return (true);
}

void
chain_append(struct chain *c, struct chain *from)
{
	must(c != from);
	if (from->first != NULL) {
		if (c->first == NULL)
			c->last = &c->first;
		*c->last = from->first;
		c->last = from->last;
		c->len += from->len;
	}
	chain_init(from);
}

void
chain_fini(struct chain *c)
{
	for (struct chain_item *it = c->first; it != NULL; it = it->next) {
		if (it->kind == CHAIN_FILE)
			file_range_fini(&it->file);
		if (it->kind == CHAIN_SOURCE && it->made.source != NULL)
			it->made.source->ops->free(it->made.source);
	}
	chain_init(c);
}
