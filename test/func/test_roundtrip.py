# SPDX-License-Identifier: Apache-2.0
"""What a client sends is what a client reads: content, order, codec, and everything a record carries."""
import base64
import hashlib
import subprocess
import time

import pytest

from harness import env, java, records
from harness.clients import CONSUMERS, PRODUCERS, confluent_consume, confluent_produce, run
from harness.proc import wait_until

N = 500


def digest(values):
    return hashlib.sha256(b"".join(len(v).to_bytes(4, "big") + v for v in values)).hexdigest()


def some_values(rng, lines, n=N, tail=b""):
    """Of many sizes.  A tail of zeros makes each smaller when it is compressed, also alone: librdkafka sends a batch as it is, without the codec that was asked
    for, when that does not make it smaller, and how many records come into the first batch depends on the moment."""
    raw = [i.to_bytes(4, "big") + rng.randbytes(rng.choice((0, 1, 10, 80, 500))) * 4 + tail for i in range(n)]
    return [base64.b64encode(r) for r in raw] if lines else raw


@pytest.mark.parametrize("client,codec", [(c, z) for c, f in PRODUCERS.items() for z in f.codecs])
def test_what_each_producer_sends_is_kept_in_content_order_and_codec(broker, topic, rng, client, codec):
    t = topic(broker)
    values = some_values(rng, PRODUCERS[client].lines, tail=bytes(64))
    PRODUCERS[client](broker, t, values, codec)
    assert digest(confluent_consume(broker, t, N)) == digest(values)
    wait_until(lambda: sum(b.count for b in records.stored(broker.partition_dir(t))) == N, 10, "the records in the log files")
    assert records.stored_codecs(broker.partition_dir(t)) == {codec}


@pytest.mark.parametrize("codec", records.CODECS)
@pytest.mark.parametrize("client", CONSUMERS)
def test_each_consumer_reads_back_content_and_order(broker, topic, rng, client, codec):
    t = topic(broker)
    values = some_values(rng, CONSUMERS[client].lines)
    confluent_produce(broker, t, values, codec)
    assert digest(CONSUMERS[client](broker, t, N)) == digest(values)


# kafka-python closes its socket over unsent acks=0 requests, so with that pair nothing is promised.
@pytest.mark.parametrize("client,acks", [(c, a) for c in PRODUCERS for a in ("0", "1", "all")
                                         if c != "java-console" and (c, a) != ("kafka-python", "0")])
def test_every_acks_setting_delivers(broker, topic, rng, client, acks):
    t = topic(broker)
    values = some_values(rng, PRODUCERS[client].lines, 50)
    PRODUCERS[client](broker, t, values, "none", acks)
    assert confluent_consume(broker, t, len(values)) == values


# java-console and kafka-python are idempotent by default, so all the tests above were of that.
@pytest.mark.parametrize("client", PRODUCERS)
def test_idempotent_producers_leave_each_record_once_with_its_number(broker, topic, rng, client):
    t = topic(broker)
    values = some_values(rng, PRODUCERS[client].lines)
    PRODUCERS[client](broker, t, values, "none", idempotent=True)
    assert confluent_consume(broker, t, N) == values
    found = records.stored(broker.partition_dir(t))
    assert len({b.producer for b in found}) == 1 and found[0].producer >= 0 and {b.epoch for b in found} == {0}
    at = 0
    for b in found:
        assert b.sequence == at == b.base_offset
        at += b.count


def test_java_verifiable_producer_with_retries_is_idempotent_and_in_order(broker, topic, tmp_path):
    """By itself it asks for no retries, which switches Java's default off."""
    t = topic(broker)
    conf = tmp_path / "retry.properties"
    conf.write_text("retries=2147483647\n")
    for more in ([], ["--producer.config", conf]):
        done = java.tool("kafka-verifiable-producer", "--bootstrap-server", broker.address, "--topic", t, "--max-messages", 300, *more)
        assert done.stdout.count('"name":"producer_send_success"') == 300, done.stdout[-2000:]
    assert confluent_consume(broker, t, 600) == [b"%d" % i for i in range(300)] * 2
    assert [b.producer >= 0 for b in records.stored(broker.partition_dir(t)) if b.base_offset in (0, 300)] == [False, True]


def test_java_perf_producer_delivers_its_payload_file(broker, topic, tmp_path):
    t = topic(broker)
    payload = tmp_path / "payload"
    payload.write_text("".join(f"line-{i}\n" for i in range(20)))
    done = java.tool("kafka-producer-perf-test", "--topic", t, "--num-records", 2000, "--throughput", -1, "--payload-file", payload,
                     "--producer-props", f"bootstrap.servers={broker.address}", "compression.type=lz4")
    assert "2000 records sent" in done.stdout
    assert set(confluent_consume(broker, t, 2000)) == {b"line-%d" % i for i in range(20)}


def test_keys_nulls_headers_and_timestamps_are_kept(broker, topic):
    from confluent_kafka import Producer
    t = topic(broker)
    rows = [
        (b"k", b"v", [("h", b"1"), ("h", b"2"), ("ü", b"\0\xff"), ("null", None)], 1_600_000_000_123),
        (None, b"no key", [], 1_600_000_000_124),
        (b"tombstone", None, [], 1_600_000_000_100),
        (b"", b"", [("", b"")], 1_600_000_000_125),
        (None, None, [], 1_600_000_000_126),
    ]
    p = Producer({"bootstrap.servers": broker.address, "broker.address.family": "v4"})
    for key, value, headers, ts in rows:
        p.produce(t, value, key, partition=0, headers=headers, timestamp=ts)
    assert p.flush(20) == 0
    got = confluent_consume(broker, t, len(rows), messages=True)
    # librdkafka shows an absent value and a null one alike, and no headers as None
    assert [(m.key(), m.value(), m.headers() or [], m.timestamp()[1]) for m in got] == rows
    assert [m.offset() for m in got] == list(range(len(rows)))


def test_log_append_time_is_the_brokers(broker, topic):
    t = topic(broker, config={"message.timestamp.type": "LogAppendTime"})
    before = int(time.time() * 1000)
    confluent_produce(broker, t, [b"x"], codec="zstd")
    (m,) = confluent_consume(broker, t, 1, messages=True)
    kind, ts = m.timestamp()
    assert kind == 2 and before - 1000 <= ts <= int(time.time() * 1000) + 1000


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_messages_up_to_the_limit_pass_and_larger_ones_get_message_too_large(broker, topic, rng, codec):
    from confluent_kafka import KafkaError, Producer
    t = topic(broker, config={"max.message.bytes": 3_000_000})
    p = Producer({"bootstrap.servers": broker.address, "message.max.bytes": 10_000_000, "compression.type": codec, "broker.address.family": "v4"})
    outcome = []
    big, too_big, small = rng.randbytes(2_990_000), rng.randbytes(3_100_000), b"after"
    for v in (big, too_big, small):
        p.produce(t, v, partition=0, on_delivery=lambda e, m: outcome.append(e.code() if e else None))
        assert p.flush(30) == 0
    assert outcome == [None, KafkaError.MSG_SIZE_TOO_LARGE, None]
    assert confluent_consume(broker, t, 2) == [big, small]


def test_a_message_larger_than_the_consumers_fetch_size_still_arrives(broker, topic, rng):
    t = topic(broker, config={"max.message.bytes": 3_000_000})
    values = [b"small", rng.randbytes(2_000_000), b"last"]
    for v in values:
        confluent_produce(broker, t, [v])
    out = run([env.need_command("kcat", "kafkacat"), "-q", "-C", "-b", broker.address, "-t", t, "-o", "beginning", "-e", "-f", "%S\n",
               "-X", "fetch.message.max.bytes=1000", "-X", "broker.address.family=v4"])
    assert [int(n) for n in out.split()] == [len(v) for v in values]


def test_partitions_are_independent_and_each_keeps_its_order(broker, topic):
    from confluent_kafka import Producer
    t = topic(broker, partitions=7)
    p = Producer({"bootstrap.servers": broker.address, "linger.ms": 5, "broker.address.family": "v4"})
    for i in range(2100):
        p.produce(t, b"%d" % i, partition=i % 7)
    assert p.flush(20) == 0
    for n in range(7):
        assert confluent_consume(broker, t, 300, partition=n) == [b"%d" % i for i in range(n, 2100, 7)]


def test_a_consumer_starts_in_the_middle_of_a_compressed_batch(broker, topic):
    t = topic(broker)
    confluent_produce(broker, t, [b"%d" % i for i in range(1000)], codec="lz4")
    assert confluent_consume(broker, t, 500, offset=500) == [b"%d" % i for i in range(500, 1000)]


def test_two_producers_and_a_tailing_consumer_see_one_order(broker, topic):
    t = topic(broker)
    kcat = [env.need_command("kcat", "kafkacat"), "-q", "-b", broker.address, "-t", t, "-p", "0", "-X", "broker.address.family=v4"]
    tail = subprocess.Popen([*kcat, "-C", "-o", "beginning", "-c", "4000", "-f", "%o %s\n"], stdout=subprocess.PIPE)
    senders = [subprocess.Popen([*kcat, "-P"], stdin=subprocess.PIPE) for _ in range(2)]
    try:
        for n, s in enumerate(senders):
            s.stdin.write(b"".join(b"%d-%d\n" % (n, i) for i in range(2000)))
            s.stdin.close()
        assert [s.wait(30) for s in senders] == [0, 0]
        lines = tail.communicate(timeout=30)[0].splitlines()
    finally:
        for x in [tail, *senders]:
            x.kill()
            x.wait()
    assert [int(x.split()[0]) for x in lines] == list(range(4000))
    for n in range(2):
        assert [x.split(b"-")[1] for x in lines if x.split()[1].startswith(b"%d-" % n)] == [b"%d" % i for i in range(2000)]
