# SPDX-License-Identifier: Apache-2.0
"""A Python client as a member of a group: consume.py CLIENT BROKER GROUP TOPIC OPTIONS (JSON).  A program of its own, so that it can be killed.

Prints "[partition, offset, value]" when a record was processed, then commits every `every` records; SIGTERM leaves the group.
options: static (group.instance.id), every (0: automatic commits), slow (seconds per record), sqlite (a file), redis (a port), session (its time-out, ms),
strategy (names of assignors, with commas between; "range" when nothing is said)"""
import asyncio
import importlib
import json
import signal
import socket
import sqlite3
import sys
import time

stopping = []
signal.signal(signal.SIGTERM, lambda *a: stopping.append(1))


class Sink:
    """Where a record takes effect.  Twice processed, it must take effect once."""

    def __init__(self, options):
        self.slow = options.get("slow", 0)
        self.db = sqlite3.connect(options["sqlite"], isolation_level=None, timeout=30) if "sqlite" in options else None
        self.redis = socket.create_connection(("127.0.0.1", options["redis"])) if "redis" in options else None
        if self.db:
            self.db.execute("PRAGMA synchronous=OFF")
            self.db.execute("CREATE TABLE IF NOT EXISTS account (id TEXT PRIMARY KEY, partition INT, offset INT, value TEXT, times INT)")

    def process(self, partition, offset, value):
        time.sleep(self.slow)
        if self.db:     # an upsert by the record's own id: the second time changes nothing but the count of attempts
            self.db.execute("INSERT INTO account VALUES (?, ?, ?, ?, 1) ON CONFLICT (id) DO UPDATE SET value = excluded.value, times = times + 1",
                            (f"{partition}-{offset}", partition, offset, value))
        if self.redis:  # only a new id counts; both in one script, which Redis runs as a whole
            script = "if redis.call('SADD', 'seen', ARGV[1]) == 1 then return redis.call('INCR', 'total') end return 0"
            call = ["EVAL", script, "0", f"{partition}-{offset}"]
            self.redis.sendall(b"*%d\r\n" % len(call) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a.encode()) for a in call))
            answer = self.redis.recv(100)
            assert answer.startswith(b":"), answer
        print(json.dumps([partition, offset, value]), flush=True)


def not_committed(error):
    """A rebalance: what is not committed comes again."""
    print(error, file=sys.stderr)


def confluent(broker, group, topic, options, sink):
    from confluent_kafka import Consumer
    every = options.get("every", 0)
    c = Consumer({"bootstrap.servers": broker, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": not every,
                  "session.timeout.ms": options.get("session", 6000), "heartbeat.interval.ms": 300,
                  "partition.assignment.strategy": options.get("strategy", "range"), "broker.address.family": "v4", "log_level": 0,
                  "topic.metadata.refresh.interval.ms": 1000, "reconnect.backoff.max.ms": 500,
                  **({"group.instance.id": options["static"]} if "static" in options else {})})
    c.subscribe([topic])
    n = 0
    while not stopping:
        m = c.poll(0.1)
        if m is None or m.error():
            continue
        sink.process(m.partition(), m.offset(), m.value().decode())
        n += 1
        if every and n % every == 0:
            try:
                c.commit(asynchronous=False)
            except Exception as e:
                not_committed(e)
    c.close()


def assignors(package, options):
    """kafka-python and its descendant name them alike"""
    found = []
    for name in options.get("strategy", "range").split(","):
        module, kind = {"range": ("range", "Range"), "roundrobin": ("roundrobin", "RoundRobin"), "sticky": ("sticky.sticky_assignor", "Sticky")}[name]
        found.append(getattr(importlib.import_module(f"{package}.coordinator.assignors.{module}"), f"{kind}PartitionAssignor"))
    return found


def kafka_python(broker, group, topic, options, sink):
    from kafka import KafkaConsumer, OffsetAndMetadata
    from kafka.errors import CommitFailedError
    every = options.get("every", 0)
    c = KafkaConsumer(topic, bootstrap_servers=broker, group_id=group, auto_offset_reset="earliest", enable_auto_commit=not every,
                      session_timeout_ms=options.get("session", 6000), heartbeat_interval_ms=300, partition_assignment_strategy=assignors("kafka", options))
    n, done = 0, {}
    while not stopping:
        for p, rows in c.poll(timeout_ms=100).items():
            for m in rows:
                sink.process(m.partition, m.offset, m.value.decode())
                n, done[p] = n + 1, OffsetAndMetadata(m.offset + 1, "", -1)
                if every and n % every == 0:
                    try:
                        c.commit(done)
                    except CommitFailedError as e:
                        not_committed(e)
                    done.clear()
    c.close()


def aiokafka(broker, group, topic, options, sink):
    from aiokafka import AIOKafkaConsumer
    from aiokafka.errors import CommitFailedError
    every = options.get("every", 0)

    async def go():
        c = AIOKafkaConsumer(topic, bootstrap_servers=broker, group_id=group, auto_offset_reset="earliest", enable_auto_commit=not every,
                             session_timeout_ms=options.get("session", 6000), heartbeat_interval_ms=300,
                             partition_assignment_strategy=assignors("aiokafka", options))
        await c.start()
        n, done = 0, {}
        try:
            while not stopping:
                for p, rows in (await c.getmany(timeout_ms=100)).items():
                    for m in rows:
                        sink.process(m.partition, m.offset, m.value.decode())
                        n, done[p] = n + 1, m.offset + 1
                        if every and n % every == 0:
                            try:
                                await c.commit(done)
                            except CommitFailedError as e:
                                not_committed(e)
                            done.clear()
        finally:
            await c.stop()

    asyncio.run(go())


if __name__ == "__main__":
    name, broker, group, topic, options = sys.argv[1:]
    options = json.loads(options)
    {"confluent": confluent, "kafka-python": kafka_python, "aiokafka": aiokafka}[name](broker, group, topic, options, Sink(options))
