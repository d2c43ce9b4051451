# SPDX-License-Identifier: Apache-2.0
"""Real clients behind one form: a producer sends values to partition 0 in order, a consumer reads n values from the beginning.

Producers have their own defaults, so Java's and kafka-python's are idempotent; idempotent=True asks those for it that are not by themselves.
No groups: partitions are assigned by hand."""
import asyncio
import base64
import os
import subprocess

from . import env, java

PRODUCERS, CONSUMERS = {}, {}
ALL = ("none", "gzip", "snappy", "lz4", "zstd")


def producer(name, codecs=ALL, lines=False):
    """lines: the client's records are lines of text."""
    def note(function):
        function.codecs, function.lines = codecs, lines
        PRODUCERS[name] = function
        return function
    return note


def consumer(name, lines=False):
    def note(function):
        function.lines = lines
        CONSUMERS[name] = function
        return function
    return note


def run(argv, stdin=None, seconds=60, environment=None):
    done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, timeout=seconds, env=dict(os.environ, **(environment or {})))
    assert done.returncode == 0, f"{argv[0]}: status {done.returncode}\n{done.stdout.decode()[-2000:]}\n{done.stderr.decode()[-2000:]}"
    return done.stdout


# ---- librdkafka -------------------------------------------------------------------------------------------------------------------------
@producer("confluent")
def confluent_produce(broker, topic, values, *args, **kwargs):
    confluent_sender(broker, *args, **kwargs)(topic, values)


def confluent_sender(broker, codec="none", acks="all", partition=0, idempotent=False, **options):
    """-> send(topic, values) of one producer, which returns when they are acknowledged.  An idempotent one takes half a second to begin."""
    from confluent_kafka import Producer
    if idempotent:
        options["enable.idempotence"] = True
    p = Producer({"bootstrap.servers": broker.address, "compression.type": codec, "acks": acks, "linger.ms": 20, "message.timeout.ms": 30000,
                  "message.max.bytes": 100_000_000, "broker.address.family": "v4", **options})

    def send(topic, values):
        failed = []
        for v in values:
            p.produce(topic, v, partition=partition, on_delivery=lambda e, m: e and failed.append(e))
            p.poll(0)
        left = p.flush(30)
        assert not failed and not left, f"{failed[:3]}, {left} unsent"

    return send


def produce(broker, topic, n, partitions, first=0):
    """Values first..first+n-1, round and round; -> them, as text."""
    for p in range(partitions):
        confluent_produce(broker, topic, [b"%d" % i for i in range(first, first + n) if i % partitions == p], partition=p)
    return [str(i) for i in range(first, first + n)]


@consumer("confluent")
def confluent_consume(broker, topic, n, seconds=30, messages=False, partition=0, offset=0, **options):
    from confluent_kafka import Consumer, TopicPartition
    c = Consumer({"bootstrap.servers": broker.address, "group.id": "none", "enable.auto.commit": False, "auto.offset.reset": "error",
                  "fetch.message.max.bytes": 10_000_000, "broker.address.family": "v4", "check.crcs": True, **options})
    c.assign([TopicPartition(topic, partition, offset)])
    out = []
    try:
        while len(out) < n:
            got = c.consume(min(n - len(out), 1000), timeout=seconds)
            assert got, f"{len(out)} of {n} within {seconds} s"
            for m in got:
                assert m.error() is None, m.error()
            out += got
    finally:
        c.close()
    return out if messages else [m.value() for m in out]


@producer("kcat", lines=True)
def kcat_produce(broker, topic, values, codec="none", acks="all", idempotent=False):
    run([env.need_command("kcat", "kafkacat"), "-q", "-P", "-b", broker.address, "-t", topic, "-p", "0", "-z", codec, "-X", f"acks={acks}",
         "-X", "linger.ms=20", "-X", "broker.address.family=v4", *(["-X", "enable.idempotence=true"] if idempotent else [])], b"".join(v + b"\n" for v in values))


@consumer("kcat", lines=True)
def kcat_consume(broker, topic, n):
    out = run([env.need_command("kcat", "kafkacat"), "-q", "-C", "-b", broker.address, "-t", topic, "-p", "0", "-o", "beginning", "-e",
               "-X", "check.crcs=true", "-X", "broker.address.family=v4"])
    return out.splitlines()


# ---- pure Python ------------------------------------------------------------------------------------------------------------------------
@producer("kafka-python")
def kafka_python_produce(broker, topic, values, codec="none", acks="all", idempotent=False):
    from kafka import KafkaProducer
    how = {"enable_idempotence": True} if idempotent else {} if acks == "all" else {"enable_idempotence": False}     # True by default, with acks=all only
    p = KafkaProducer(bootstrap_servers=broker.address, compression_type=None if codec == "none" else codec, linger_ms=20,
                      acks=acks if acks == "all" else int(acks), max_request_size=100_000_000, **how)
    try:
        sent = [p.send(topic, v, partition=0) for v in values]
        p.flush(30)
        for f in sent:
            f.get(30)
    finally:
        p.close(5)


@consumer("kafka-python")
def kafka_python_consume(broker, topic, n, seconds=30, partition=0):
    from kafka import KafkaConsumer, TopicPartition
    c = KafkaConsumer(bootstrap_servers=broker.address, group_id=None, enable_auto_commit=False, consumer_timeout_ms=seconds * 1000,
                      max_partition_fetch_bytes=10_000_000)
    try:
        c.assign([TopicPartition(topic, partition)])
        c.seek_to_beginning()
        out = []
        for m in c:
            out.append(m.value)
            if len(out) == n:
                break
        return out
    finally:
        c.close()


@producer("aiokafka")
def aiokafka_produce(broker, topic, values, codec="none", acks="all", idempotent=False):
    from aiokafka import AIOKafkaProducer

    async def go():
        p = AIOKafkaProducer(bootstrap_servers=broker.address, compression_type=None if codec == "none" else codec, linger_ms=20,
                             acks=acks if acks == "all" else int(acks), enable_idempotence=idempotent, max_request_size=100_000_000)
        await p.start()
        try:
            for f in [await p.send(topic, v, partition=0) for v in values]:
                await f
        finally:
            await p.stop()

    asyncio.run(asyncio.wait_for(go(), 60))


@consumer("aiokafka")
def aiokafka_consume(broker, topic, n, seconds=30):
    from aiokafka import AIOKafkaConsumer, TopicPartition

    async def go():
        c = AIOKafkaConsumer(bootstrap_servers=broker.address, group_id=None, enable_auto_commit=False, max_partition_fetch_bytes=10_000_000)
        await c.start()
        try:
            tp = TopicPartition(topic, 0)
            c.assign([tp])
            await c.seek_to_beginning(tp)
            return [(await c.getone()).value for _ in range(n)]
        finally:
            await c.stop()

    return asyncio.run(asyncio.wait_for(go(), seconds))


# ---- node -------------------------------------------------------------------------------------------------------------------------------
@producer("kafkajs", codecs=("none", "gzip", "snappy"))
def kafkajs_produce(broker, topic, values, codec="none", acks="all", idempotent=False):
    if env.NODE is None:
        env.missing("kafkajs (test/func/package.json)")
    out = run([env.need_command("node"), env.HERE / "produce.js", broker.address, topic, codec, -1 if acks == "all" else acks, *(["idempotent"] if idempotent else [])],
              b"".join(base64.b64encode(v) + b"\n" for v in values), environment={"NODE_PATH": f"{env.NODE}/node_modules"})
    assert out.split() == [b"produced", str(len(values)).encode()]


# ---- Java -------------------------------------------------------------------------------------------------------------------------------
@producer("java-console", lines=True)
def java_console_produce(broker, topic, values, codec="none", acks="all", idempotent=False):
    how = ["--producer-property", "enable.idempotence=true"] if idempotent else []      # it is by itself
    java.tool("kafka-console-producer", "--bootstrap-server", broker.address, "--topic", topic, "--compression-codec", codec, *how,
              "--producer-property", f"acks={acks}", "--request-required-acks", acks,
              stdin=b"".join(v + b"\n" for v in values))


@consumer("java-console", lines=True)
def java_console_consume(broker, topic, n):
    done = java.tool("kafka-console-consumer", "--bootstrap-server", broker.address, "--topic", topic, "--partition", 0, "--offset", "earliest",
                     "--max-messages", n, "--timeout-ms", 30000)
    return done.stdout.encode().splitlines()
