# SPDX-License-Identifier: Apache-2.0
"""Segments that brokers before 0.11 wrote (formats 0 and 1), found by Java and by the broker under test after a crash: the same answers, and after a clean
end the same bytes in every file."""
import gzip
import re

import pytest

from harness import java as java_tools, records
from harness.broker import make_broker
from harness.proc import wait_until
from test_against_java import difference
from test_records_against_java import play
from test_tools import ottla

TIME = 1_600_000_000_000
CONFIG = {"segment.index.bytes": "1000", "index.interval.bytes": "150", "retention.ms": "-1"}


def messages(magic, first, n, stamp=lambda i: TIME + 10 * i, **fields):
    return b"".join(records.message(b"value %d" % i, b"key" if i % 3 else None, magic, i, ts=stamp(i), **fields) for i in range(first, first + n))


def wrapper(magic, offsets, stamp=lambda i: TIME + 10 * i, attributes=1, ts=None):
    """Compressed: format 0 has absolute offsets inside, format 1 relative ones."""
    base = offsets[0] if magic else 0
    inner = b"".join(records.message(b"inner %d" % o, b"k" if o % 2 else None, magic, o - base, ts=stamp(o)) for o in offsets)
    return records.message(gzip.compress(inner, mtime=0), magic=magic, offset=offsets[-1], attributes=attributes,
                           ts=ts if ts is not None else max(stamp(o) for o in offsets))


def uneven(i):
    return TIME + 1000 * (i * 7 % 10)


BAD = bytearray(messages(1, 6, 1))
BAD[-1] ^= 1
MARKER = records.batch([b""], first_ts=TIME + 20, base_offset=3, attributes=0x30, producer=7, epoch=0, sequence=-1,
                       payload=records.record(0, b"\0\0\0\0\0\0", key=b"\0\0\0\0"))
# segments by base offset
LOGS = {
    "old.v0": {0: messages(0, 0, 10) + wrapper(0, range(10, 15)), 15: messages(0, 15, 12), 30: wrapper(0, (30, 33, 37)) + messages(0, 38, 2)},
    "old.v1": {0: messages(1, 0, 10, uneven) + wrapper(1, range(10, 16), uneven), 16: wrapper(1, (16, 18, 23), uneven) + messages(1, 24, 8, uneven),
               40: messages(1, 40, 3, attributes=8) + wrapper(1, range(43, 47), attributes=9, ts=TIME + 777)},
    "old.mixed": {0: messages(0, 0, 6) + messages(1, 6, 6), 12: wrapper(1, range(12, 20)) + records.batch([b"new"] * 5, "gzip", first_ts=TIME + 50, base_offset=20)},
    "old.torn": {0: messages(1, 0, 3), 3: messages(1, 3, 3) + BAD + messages(1, 7, 5), 20: messages(1, 20, 2)},
    "old.txn": {0: records.batch([b"aborted %d" % i for i in range(3)], first_ts=TIME, attributes=0x10, producer=7, epoch=0, sequence=0) + MARKER +
                records.batch([b"after", b"it"], first_ts=TIME + 30, base_offset=4)},
    "old.half": {0: messages(0, 0, 5) + wrapper(1, range(5, 9))[:-4]},
}


def plant(b):
    for topic, segments in LOGS.items():
        d = b.partition_dir(topic)
        for path in d.iterdir():
            if path.suffix in (".log", ".index", ".timeindex", ".snapshot"):
                path.unlink()
        for base, data in segments.items():
            (d / f"{base:020}.log").write_bytes(data)
    for name in (".kafka_cleanshutdown", "recovery-point-offset-checkpoint", "log-start-offset-checkpoint", "replication-offset-checkpoint"):
        (b.data / name).unlink(missing_ok=True)


def led(b, topic):
    with b.connect() as c:
        return c.call("ListOffsets", 7, {"Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]})["Topics"][0]["Partitions"][0]["ErrorCode"] == 0


@pytest.fixture(scope="module")
def old(kind, zk, tmp_path_factory):
    made = []
    try:
        for n, k in enumerate(("java", kind)):
            b = make_broker(k, tmp_path_factory.mktemp(f"old-{k}"), f"{zk.address}/old-{kind}-{n}", 1, {"log.retention.check.interval.ms": 500,
                                                                                                        "log.initial.task.delay.ms": 100})
            made.append(b)
            b.start()
            with b.connect() as c:
                c.call("CreateTopics", 4, {"Topics": [{"Name": t, "NumPartitions": 1, "ReplicationFactor": 1, "Configs": [
                    {"Name": k, "Value": v} for k, v in CONFIG.items()]} for t in LOGS], "timeoutMs": 20000})
            for t in LOGS:
                wait_until(lambda: led(b, t), 20)
            b.stop()
            plant(b)
            b.start()
            for t in LOGS:
                wait_until(lambda: led(b, t), 20)
        yield made
    finally:
        for b in made:
            b.cleanup()


def same(old, steps):
    java, ours = (play(b, steps) for b in old)
    assert ours == java, difference(ours, java)
    return ours


def fetch(topic, version, offset, size=100000):
    return "Fetch", version, {"MaxWaitMs": 0, "MinBytes": 0, "Topics": [{"Topic": topic, "Partitions": [
        {"Partition": 0, "FetchOffset": offset, "PartitionMaxBytes": size}]}]}


def offsets(topic, version, *times):
    return [("ListOffsets", version, {"Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "Timestamp": t, **({"MaxNumOffsets": 9} if version == 0 else {})}]}]})
            for t in times]


def produce(topic, data, version=7):
    return "Produce", version, {"Acks": -1, "TimeoutMs": 3000, "TopicData": [{"Name": topic, "PartitionData": [{"Index": 0, "Records": data}]}]}


@pytest.mark.parametrize("version", (0, 2, 4, 11))
@pytest.mark.parametrize("topic", LOGS)
def test_every_offset_is_served_as_by_java(old, topic, version):
    starts = [o for o in range(-1, 50) if (topic, o) != ("old.txn", 3) or version >= 4]      # see the next test
    answers = same(old, [fetch(topic, version, o, size) for o in starts for size in (60, 100000)])
    if version >= 4 and topic not in ("old.torn", "old.txn"):       # as they are: nothing is converted for clients of today
        first = answers[3]["Responses"][0]["Partitions"][0]["Records"]
        assert first.__class__ is list and first[0][1] < 2


@pytest.mark.parametrize("version", (0, 1, 2, 3))
def test_a_marker_in_front_does_not_double_what_follows(old, version):
    """Where we differ: Java sends the first batch that stays twice (LazyDownConversionRecords counts one batch for those that vanished)."""
    java, ours = (records_of(play(b, [fetch("old.txn", version, 3)])[0]) for b in old)
    assert [m[0] for m in ours if m[0] != "cut"] == [4, 5] or old[1].kind == "java"
    assert [m[0] for m in java if m[0] != "cut"][:3] == [4, 5, 4]
    assert ours[:2] == java[:2]


def records_of(answer):
    return answer["Responses"][0]["Partitions"][0]["Records"]


@pytest.mark.parametrize("version", (0, 1, 4, 7))
@pytest.mark.parametrize("topic", LOGS)
def test_offsets_by_time_are_javas(old, topic, version):
    times = [-1, -2] if version == 0 else [-1, -2, *([-3] if version >= 7 else []), 0, *range(TIME - 1, TIME + 400, 7), *range(TIME, TIME + 10000, 500)]
    same(old, offsets(topic, version, *times))


def test_retention_looks_at_the_times_of_old_messages(old):
    """Runs after the look-ups: segments go."""
    from time import time
    oldest = int(time() * 1000) - TIME
    topic = "old.v1"
    for b in old:
        with b.connect() as c:
            c.call("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 2, "ResourceName": topic, "Configs": [
                {"Name": "retention.ms", "ConfigOperation": 0, "Value": str(oldest - 8500 + 60_000_000)}]}]})
            # nothing is that old
            c.call("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 2, "ResourceName": topic, "Configs": [
                {"Name": "retention.ms", "ConfigOperation": 0, "Value": str(oldest // 2)}]}]})
    for b in old:
        wait_until(lambda: play(b, offsets(topic, 7, -2))[0]["Topics"][0]["Partitions"][0]["Offset"] == 47, 20)
    same(old, offsets(topic, 7, -1, -2) + [fetch(topic, 4, o) for o in (40, 46, 47)])


def test_deleting_up_to_the_middle_of_a_wrapper(old):
    for topic, offset in (("old.v0", 12), ("old.mixed", 14)):
        same(old, [("DeleteRecords", 2, {"Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "Offset": offset}]}], "TimeoutMs": 5000})])
        keeps_first = offset < sorted(LOGS[topic])[1]
        for b in old:   # a segment that is all deleted goes later, and decides what a look-up by time finds until then
            wait_until(lambda: keeps_first or not (b.partition_dir(topic) / f"{0:020}.log").exists(), 20)
        same(old, [fetch(topic, v, o) for v in (0, 2, 4) for o in range(offset - 1, offset + 8)] + offsets(topic, 7, -2, 0, TIME + 10 * offset - 20))


def files(b, topic):
    """Names and contents, but for what names the run and (of snapshots) the time."""
    return {p.name: p.read_bytes() for p in b.partition_dir(topic).iterdir() if p.suffix in (".log", ".index", ".timeindex") or "epoch" in p.name}


def test_the_log_goes_on_in_the_format_of_today_and_ends_in_the_same_bytes(old):
    """Runs last: the brokers end."""
    for topic in LOGS:
        if topic != "old.v1":
            same(old, [produce(topic, records.batch([b"a", b"b"], first_ts=TIME + 5)), produce(topic, records.messages([b"c"]), 2)] +
                 offsets(topic, 7, -1, -3) + [fetch(topic, v, o) for v in (0, 3, 11) for o in range(0, 45, 4)])
    for b in old:
        assert b.stop() in (0, 143)
    for topic in LOGS:
        java, ours = (files(b, topic) for b in old)
        assert sorted(ours) == sorted(java), topic
        assert [n for n in java if java[n] != ours[n]] == [], topic
    b = old[1]
    logs = sorted(p for t in LOGS for p in b.partition_dir(t).glob("*.log"))
    text = java_tools.tool("kafka-dump-log", "--deep-iteration", "--files", ",".join(map(str, logs))).stdout
    assert "magic: 0" in text and "magic: 1" in text and not re.search("isvalid: false|Found invalid|invalid bytes|corrupt", text), text[-2000:]
    if b.kind == "ottla":
        ottla("log", "verify", b.data)
