# SPDX-License-Identifier: Apache-2.0
"""__consumer_offsets whose bytes were changed while the broker was down: whose group it was loses a commit, the others lose nothing.

Java 3.9.1 on the same bytes believes a batch with a wrong checksum, steps over keys of unknown versions, and at a value that it cannot decode or
a batch that ends early gives up the whole partition: it is served without any group, and clients start anew."""
import struct

import pytest

from harness import env
from harness.groups import NONE, committed, ready
from harness.records import crc32c

MIB = 1024


def batches(data):
    """-> [(position, length)]"""
    out, at = [], 0
    while at + 12 <= len(data):
        n = 12 + struct.unpack_from(">i", data, at + 8)[0]
        out.append((at, n))
        at += n
    return out


def sealed(batch):
    return batch[:17] + struct.pack(">I", crc32c(bytes(batch[21:]))) + batch[21:]


def changed(batch, old, new):
    assert batch.count(old) == 1, (batch, old)
    return sealed(batch.replace(old, new))


def value_at(batch, group):
    """Where the value of its only record begins; the key ends with the partition, then comes the value's length of one byte."""
    return batch.index(group + b"\0\1t\0\0\0\0") + len(group) + 7 + 1


def with_value(batch, group, at, new):
    i = value_at(batch, group) + at
    return sealed(batch[:i] + new + batch[i + len(new):])


# version 3: i16 version, i64 offset, i32 leader epoch, string metadata, i64 time
DAMAGE = {
    "checksum": lambda b, g: b[:-3] + bytes([b[-3] ^ 0x40]) + b[-2:],
    "value version": lambda b, g: with_value(b, g, 0, struct.pack(">h", 99)),
    "negative length": lambda b, g: with_value(b, g, 14, struct.pack(">h", -5)),
    "length beyond the value": lambda b, g: with_value(b, g, 14, struct.pack(">h", 30000)),
    "key version": lambda b, g: changed(b, b"\0\1" + struct.pack(">h", len(g)) + g, b"\0\x4d" + struct.pack(">h", len(g)) + g),
    "length beyond the key": lambda b, g: changed(b, b"\0\1" + struct.pack(">h", len(g)) + g, b"\0\1" + struct.pack(">h", 32000) + g),
    "two thousand million records": lambda b, g: sealed(b[:57] + struct.pack(">i", 0x7fffffff) + b[61:]),
    "no records": lambda b, g: sealed(b[:57] + struct.pack(">i", 0) + b[61:]),
}
# What can be read before the damage counts; and a batch without records is not damaged, cleaners leave such behind.
STILL_READ, NOT_TOLD = ("two thousand million records",), ("no records",)


def commit(c, group, offset):
    a = c.call("OffsetCommit", 8, {"GroupId": group, "Topics": [{"Name": "t", "Partitions": [{"PartitionIndex": 0, "CommittedOffset": offset, "CommittedMetadata": "m"}]}]})
    return a["Topics"][0]["Partitions"][0]["ErrorCode"]


@pytest.mark.only("ottla")
def test_damaged_records_cost_their_own_groups_one_commit_and_the_others_nothing(brokers, kind, topic):
    b = ready(brokers(kind, config={"offsets.topic.num.partitions": 1}).start())
    topic(b, name="t")
    names = [f"hurt-{i}" for i in range(len(DAMAGE))]
    with b.connect() as c:
        for name in names:
            assert commit(c, name, 1) == NONE
        for i, name in enumerate(names):
            assert commit(c, name, 2) == NONE
            assert commit(c, f"well-{i}", 3) == NONE
    b.stop()
    path = next((b.data / "__consumer_offsets-0").glob("*.log"))
    data = path.read_bytes()
    out, at = bytearray(data), batches(data)
    for i, (what, damage) in enumerate(DAMAGE.items()):
        where, n = [(p, n) for p, n in at if names[i].encode() in data[p:p + n]][1]
        new = damage(data[where:where + n], names[i].encode())
        assert len(new) == n and new != data[where:where + n], what
        out[where:where + n] = new
    path.write_bytes(out)

    ready(b.start())
    if not env.sanitized():
        assert b.memory() < 200 * MIB
    for i, name in enumerate(names):
        assert committed(b, f"well-{i}", "t", [0]) == {0: (3, "m")}
        assert committed(b, name, "t", [0]) == {0: (2 if list(DAMAGE)[i] in STILL_READ else 1, "m")}, list(DAMAGE)[i]
    said, told = b.text(), len(DAMAGE) - len(NOT_TOLD)
    assert f"{told} damaged or strange records or batches were stepped over" in said
    assert said.count("; stepped over") == told
    with b.connect() as c:
        assert [commit(c, name, 4) for name in names] == [NONE] * len(names)
    b.stop()         # a start after kill -9 would cut the log at the wrong checksum, as Java's does
    ready(b.start())
    assert [committed(b, name, "t", [0]) for name in names] == [{0: (4, "m")}] * len(names)
