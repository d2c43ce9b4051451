/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/random.h"
#include "net/rxbuf.h"
#include "test/unit/unit.h"

static void
put(struct rxbuf *rx, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n > 0) {
		size_t room, part;
		uint8_t *to = rxbuf_room(rx, NULL, &room);

		part = room < n ? room : n;
		memcpy(to, p, part);
		rxbuf_received(rx, part);
		rxbuf_check(rx);
		p += part;
		n -= part;
	}
}

static void
put_length(struct rxbuf *rx, int32_t len)
{
	uint8_t b[4];

	be32enc(b, (uint32_t)len);
	put(rx, b, 4);
}

TEST(a_frame_may_arrive_one_byte_at_a_time)
{
	struct rxbuf rx;
	struct rxblock *block;
	struct slice frame;

	rxbuf_init(&rx);
	for (int i = 0; i < 8; i++) {
		CHECK(!rxbuf_has_frame(&rx));
		put(&rx, &"\0\0\0\4abcd"[i], 1);
	}
	REQUIRE(rxbuf_has_frame(&rx));
	frame = rxbuf_take(&rx, &block);
	CHECK(slice_eq_str(frame, "abcd"));
	rxblock_unref(&block);
	rxbuf_trim(&rx, NULL);
	CHECK(rx.block == NULL);
	rxbuf_fini(&rx);
}

TEST(a_block_of_the_smallest_size_is_the_next_buffers_when_nobody_else_refers_to_it)
{
	struct rxblock *spare = NULL, *first, *block;
	struct rxbuf rx;
	size_t room;

	rxbuf_init(&rx);
	rxbuf_room(&rx, &spare, &room);
	first = rx.block;
	rxbuf_trim(&rx, &spare);
	CHECK(spare == first && rx.block == NULL);
	rxbuf_room(&rx, &spare, &room);
	CHECK(rx.block == first && spare == NULL && room == RX_BLOCK);
	rxbuf_check(&rx);
	put_length(&rx, RX_COPY_MAX + 1);
	for (int i = 0; i <= RX_COPY_MAX; i++)
		put(&rx, "z", 1);
	rxbuf_take(&rx, &block);		/* too large to be copied out: it lies in the block */
	CHECK(block == first);
	rxbuf_trim(&rx, &spare);
	CHECK(spare == NULL && rx.block == NULL);
	rxblock_unref(&block);
	put_length(&rx, 4 * RX_BLOCK);
	for (int i = 0; i < 4 * RX_BLOCK; i++)
		put(&rx, "", 1);
	rxbuf_take(&rx, &block);
	rxblock_unref(&block);
	rxbuf_trim(&rx, &spare);
	CHECK(spare == NULL);			/* a large one is not kept */
	rxbuf_fini(&rx);
}

/* The length is a promise of somebody we do not know. */
TEST(an_announced_length_alone_allocates_nothing)
{
	struct rxbuf rx;

	rxbuf_init(&rx);
	put_length(&rx, 100 * 1024 * 1024);
	put(&rx, "x", 1);
	CHECK(rx.block->size <= RX_BLOCK);
	for (int i = 0; i < 40000; i++)
		put(&rx, "x", 1);
	CHECK(rx.block->size <= 2 * rxbuf_unparsed(&rx));
	rxbuf_fini(&rx);
}

TEST(a_peer_that_sent_large_frames_gets_room_at_once)
{
	struct rxbuf rx;
	struct rxblock *block;
	uint8_t *big = calloc(1, 300000);

	rxbuf_init(&rx);
	put_length(&rx, 300000);
	put(&rx, big, 300000);
	CHECK_EQ(rxbuf_take(&rx, &block).len, 300000);
	rxblock_unref(&block);
	rxbuf_trim(&rx, NULL);
	put_length(&rx, 300000);
	while (rx.recvd < RX_BLOCK)
		put(&rx, "y", 1);
	put(&rx, "y", 1);
	CHECK_GE(rx.block->size, 300004);
	rxbuf_fini(&rx);
	free(big);
}

TEST(a_small_frame_does_not_hold_the_receive_block)
{
	struct rxbuf rx;
	struct rxblock *block;

	rxbuf_init(&rx);
	put(&rx, "\0\0\0\2hi", 6);
	CHECK(slice_eq_str(rxbuf_take(&rx, &block), "hi"));
	CHECK(block != rx.block && block->size == 2);
	rxblock_unref(&block);
	rxbuf_fini(&rx);
}

TEST(negative_and_empty_lengths_are_told_apart)
{
	struct rxbuf rx;
	struct rxblock *block;
	int32_t len;

	rxbuf_init(&rx);
	put_length(&rx, 0);
	REQUIRE(rxbuf_has_frame(&rx));
	CHECK_EQ(rxbuf_take(&rx, &block).len, 0);
	rxblock_unref(&block);
	put_length(&rx, -1);
	CHECK(rxbuf_announced(&rx, &len) && len == -1);
	CHECK(!rxbuf_has_frame(&rx));
	rxbuf_fini(&rx);
}

/* Frames of random sizes in random pieces, some kept while more arrives: each comes out as it went in. */
TEST(frames_survive_any_cutting)
{
	enum { FRAMES = 400, KEPT = 7 };
	struct random_seeded rs;
	struct rxbuf rx;
	struct { struct slice s; struct rxblock *b; uint8_t fill; } kept[KEPT] = { 0 };
	uint8_t *bytes = malloc(70004);

	random_seeded_init(&rs, unit_seed());
	rxbuf_init(&rx);
	for (int i = 0; i < FRAMES; i++) {
		size_t len = random_below(&rs.random, random_below(&rs.random, 4) == 0 ? 70000 : 3000), done = 0;
		uint8_t fill = (uint8_t)i;
		int k = i % KEPT;

		be32enc(bytes, (uint32_t)len);
		memset(bytes + 4, fill, len);
		while (done < len + 4) {
			size_t part = 1 + random_below(&rs.random, 20000);

			part = part < len + 4 - done ? part : len + 4 - done;
			put(&rx, bytes + done, part);
			done += part;
		}
		for (size_t j = 0; j < kept[k].s.len; j++)
			if (kept[k].s.p[j] != kept[k].fill) {
				CHECK(!"a kept frame changed");
				break;
			}
		rxblock_unref(&kept[k].b);
		REQUIRE(rxbuf_has_frame(&rx));
		kept[k].s = rxbuf_take(&rx, &kept[k].b);
		kept[k].fill = fill;
		CHECK_EQ(kept[k].s.len, len);
		if (random_below(&rs.random, 2) == 0)
			rxbuf_trim(&rx, NULL);
		rxbuf_check(&rx);
	}
	for (int k = 0; k < KEPT; k++)
		rxblock_unref(&kept[k].b);
	rxbuf_fini(&rx);
	free(bytes);
}

UNIT_MAIN("net/rxbuf", T(a_block_of_the_smallest_size_is_the_next_buffers_when_nobody_else_refers_to_it),
    T(a_frame_may_arrive_one_byte_at_a_time), T(an_announced_length_alone_allocates_nothing),
    T(a_peer_that_sent_large_frames_gets_room_at_once), T(a_small_frame_does_not_hold_the_receive_block),
    T(negative_and_empty_lengths_are_told_apart), T(frames_survive_any_cutting))
