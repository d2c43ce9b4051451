# SPDX-License-Identifier: Apache-2.0
"""Clients that speak the versions of old brokers: producers (Produce 0 to 2, messages of formats 0 and 1), whose records clients of today read; consumers
(Fetch 0 to 3), who read what clients of today wrote."""
import fcntl
import struct
import termios

import pytest

from harness import records
from harness.clients import confluent_consume, confluent_produce
from harness.proc import wait_until

VALUES = [b"%d " % i + b"some words " * (i % 7) for i in range(300)] + [b""]
CODECS = ("none", "gzip", "snappy", "lz4")


def stored(broker, topic, codec):
    """Every batch has magic 2 and, but for small ones that a client sends as they are, the codec."""
    with broker.connect() as c:
        answer = c.call("Fetch", 4, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1 << 24, "Topics": [{"Topic": topic, "Partitions": [
            {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 24}]}]})
    found = records.batches(answer["Responses"][0]["Partitions"][0]["Records"])
    attributes = {b.attributes for b in found}
    assert {b.magic for b in found} == {2} and records.CODECS.index(codec) in attributes <= {0, records.CODECS.index(codec)}
    assert {b.producer for b in found} == {-1}
    return found


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("speaks", ["0.8.2.0", "0.9.0.0", "0.10.0.0"])
def test_librdkafka_as_of_an_old_broker(broker, topic, speaks, codec):
    t = topic(partitions=1)
    confluent_produce(broker, t, VALUES, codec, **{"api.version.request": False, "broker.version.fallback": speaks})
    assert confluent_consume(broker, t, len(VALUES)) == VALUES
    stored(broker, t, codec)


# kafka-python 2.2 needs another package to write or read the lz4 of brokers before 0.10
@pytest.mark.parametrize("speaks,codec", [pytest.param(v, c, id=".".join(map(str, v)) + "-" + c) for v in ((0, 8, 2), (0, 9), (0, 10, 0), (0, 10, 1))
                                          for c in CODECS if c != "lz4" or v >= (0, 10)])
def test_kafka_python_as_of_an_old_broker(broker, topic, speaks, codec):
    from kafka import KafkaProducer
    t = topic(partitions=1)
    p = KafkaProducer(bootstrap_servers=broker.address, api_version=speaks, compression_type=None if codec == "none" else codec, linger_ms=20,
                      enable_idempotence=False)     # which no broker of that age knows
    try:
        sent = [p.send(t, v, key=b"k" if i % 2 else None, partition=0, timestamp_ms=1_600_000_000_000 + i) for i, v in enumerate(VALUES)]
        p.flush(30)
        assert [f.get(30).offset for f in sent] == list(range(len(VALUES)))
    finally:
        p.close(5)
    assert confluent_consume(broker, t, len(VALUES)) == VALUES
    got = stored(broker, t, codec)
    assert {b.max_ts for b in got} == {-1} if speaks < (0, 10) else got[-1].max_ts == 1_600_000_000_000 + len(VALUES) - 1


# ---- consumers ----
STAMP = 1_600_000_000_000


def fill(broker, topic, codec):
    """Keys, times and headers; several batches."""
    from confluent_kafka import Producer
    p = Producer({"bootstrap.servers": broker.address, "compression.type": codec, "batch.num.messages": 50, "linger.ms": 50, "broker.address.family": "v4"})
    for i, v in enumerate(VALUES):
        p.produce(topic, v, key=b"k%d" % i if i % 3 else None, partition=0, timestamp=STAMP + i, headers=[("h", b"x")] if i % 5 == 0 else None)
    assert p.flush(30) == 0


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("speaks", ["0.8.2.0", "0.9.0.0", "0.10.0.0"])
def test_librdkafka_reads_as_of_an_old_broker(broker, topic, speaks, codec):
    t = topic(partitions=1)
    fill(broker, t, codec)
    old = {"api.version.request": False, "broker.version.fallback": speaks}
    got = confluent_consume(broker, t, len(VALUES), messages=True, **old)
    assert [(m.offset(), m.key(), m.value() or b"") for m in got] == [(i, b"k%d" % i if i % 3 else None, v) for i, v in enumerate(VALUES)]
    if speaks == "0.10.0.0":
        assert [m.timestamp()[1] for m in got] == [STAMP + i for i in range(len(VALUES))]
    assert [m.value() or b"" for m in confluent_consume(broker, t, 103, messages=True, offset=len(VALUES) - 103, **old)] == VALUES[-103:]


@pytest.mark.parametrize("speaks,codec", [pytest.param(v, c, id=".".join(map(str, v)) + "-" + c) for v in ((0, 8, 2), (0, 9), (0, 10, 0), (0, 10, 1))
                                          for c in CODECS if c != "lz4" or v >= (0, 10)])
def test_kafka_python_reads_as_of_an_old_broker(broker, topic, speaks, codec):
    from kafka import KafkaConsumer, TopicPartition
    t = topic(partitions=1)
    fill(broker, t, codec)
    c = KafkaConsumer(bootstrap_servers=broker.address, api_version=speaks, group_id=None, enable_auto_commit=False, consumer_timeout_ms=30000)
    try:
        c.assign([TopicPartition(t, 0)])
        c.seek(TopicPartition(t, 0), 0)
        got = [next(c) for _ in VALUES]
        assert [(m.offset, m.key, m.value) for m in got] == [(i, b"k%d" % i if i % 3 else None, v) for i, v in enumerate(VALUES)]
        assert [m.timestamp for m in got] == [STAMP + i if speaks >= (0, 10) else None for i in range(len(VALUES))] or speaks < (0, 10)
        c.seek(TopicPartition(t, 0), 137)
        assert next(c).offset == 137
        assert c.end_offsets([TopicPartition(t, 0)]) == {TopicPartition(t, 0): len(VALUES)}
    finally:
        c.close()


def test_an_old_consumer_that_meets_zstd_is_told(broker, topic):
    t = topic(partitions=1)
    confluent_produce(broker, t, [b"before"])
    confluent_produce(broker, t, [b"z" * 100] * 20, "zstd")
    with broker.connect() as c:
        for version in (0, 1, 2, 3):
            rows = [c.call("Fetch", version, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "Topics": [{"Topic": t, "Partitions": [
                {"Partition": 0, "FetchOffset": o, "PartitionMaxBytes": 1 << 20}]}]})["Responses"][0]["Partitions"][0] for o in (0, 1)]
            assert [r["ErrorCode"] for r in rows] == [0, 76]
            first, cut = records.legacy(rows[0]["Records"])
            assert first[5] == b"before" and cut[0] == "cut" and not rows[1]["Records"]


def test_conversion_can_be_forbidden_and_allowed_while_it_runs(broker, topic):
    t = topic(partitions=1)
    confluent_produce(broker, t, [b"x"])

    def error():
        with broker.connect() as c:
            return c.call("Fetch", 2, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "Topics": [{"Topic": t, "Partitions": [
                {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1000}]}]})["Responses"][0]["Partitions"][0]["ErrorCode"]

    def alter(kind, name, key, value):
        with broker.connect() as c:
            answer = c.call("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": [
                {"Name": key, "ConfigOperation": 0 if value else 1, "Value": value}]}]})
            assert answer["Responses"][0]["ErrorCode"] == 0, answer

    topic_key, broker_key = "message.downconversion.enable", "log.message.downconversion.enable"
    assert error() == 0
    alter(4, "", broker_key, "false")
    try:
        wait_until(lambda: error() == 35, 20)
        alter(2, t, topic_key, "true")
        wait_until(lambda: error() == 0, 20)
        alter(4, "", broker_key, None)
        alter(2, t, topic_key, "false")
        wait_until(lambda: error() == 35, 20)
    finally:
        alter(4, "", broker_key, None)


def test_a_large_conversion_takes_little_memory(broker, kind, topic):
    """An old consumer asks for 48 MiB and does not read at first: what is not sent yet waits in the log, not converted in memory."""
    if kind == "java":
        pytest.skip("Java's memory is its heap")
    t = topic(broker, config={"retention.ms": -1})
    n = 480
    batch = records.batch([bytes([i]) * 1000 for i in range(100)])
    with broker.connect(timeout=60) as c:

        def produced():
            answer = c.call("Produce", 7, {"Acks": 1, "TimeoutMs": 5000, "TopicData": [{"Name": t, "PartitionData": [{"Index": 0, "Records": batch}]}]})
            return answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0

        wait_until(produced, 20)
        assert all(produced() for _ in range(n - 1))
        before = broker.memory()
        c.send("Fetch", 2, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "Topics": [{"Topic": t, "Partitions": [
            {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 30}]}]})

        def waiting():
            return struct.unpack("i", fcntl.ioctl(c.sock, termios.FIONREAD, b"\0" * 4))[0]

        wait_until(lambda: waiting() > 60000, 20)
        stalled = broker.memory() - before
        got = c.receive("Fetch", 2)["Responses"][0]["Partitions"][0]["Records"]
    assert len(got) == n * len(batch)
    whole = [m for m in records.legacy(got) if m[0] != "cut"]
    assert [m[0] for m in whole] == list(range(len(whole))) and len(whole) > 0.9 * n * 100
    assert stalled < 16 << 10, f"{stalled} KiB more for {len(got) >> 10} KiB asked for"
