# SPDX-License-Identifier: Apache-2.0
"""One directory, and brokers of both kinds on it in turns, stopped or killed, while producers go on: nothing is lost, nothing doubled, and both
checkers find the files clean after it.

What is in the directory: a stream by an idempotent producer per codec (the same producer from the first broker to the last), messages of old
producers, segments that brokers before 0.11 wrote, a log that loses old segments all the time, one whose records are deleted by request, one that
recompresses and stamps, and one whose settings change."""
import gzip
import re
import threading
import time

import pytest

from harness import records
from harness.clients import confluent_consume, confluent_produce, kafka_python_consume
from harness.proc import wait_until
from test_durability import dump, list_offset
from test_tools import ottla

pytestmark = pytest.mark.zookeeper

CONFIG = {"log.flush.start.offset.checkpoint.interval.ms": 200, "log.retention.check.interval.ms": 300, "log.initial.task.delay.ms": 0, "log.segment.delete.delay.ms": 0, "zookeeper.session.timeout.ms": 4000,
          "log.cleaner.enable": "false"}
SMALL = {"segment.bytes": 12000, "index.interval.bytes": 500, "segment.index.bytes": 4096, "retention.ms": -1}
TOPICS = {"stream": (5, SMALL), "old": (1, SMALL), "older": (2, SMALL), "short": (1, {**SMALL, "retention.bytes": 30000, "segment.bytes": 6000}),
          "cut": (1, SMALL), "packed": (1, {**SMALL, "compression.type": "zstd", "message.timestamp.type": "LogAppendTime"}), "plain": (1, SMALL)}
STOPS = {"clean": "stop", "killed": "kill9"}


class Stream:
    """An idempotent producer that goes on whatever happens to its broker.

    A broker that starts does not know its topics at first.  Java then answers two that ask at once that it is making the topic, and that there is
    none; librdkafka believes the latter, unless it is told to wait (topic.metadata.propagation.max.ms)."""

    def __init__(self, b, codec, partition):
        from confluent_kafka import Producer
        self.n, self.acked, self.failed, self.ending = 0, 0, [], threading.Event()
        self.p = Producer({"bootstrap.servers": b.address, "enable.idempotence": True, "compression.type": codec, "linger.ms": 5, "log_level": 0,
                           "message.timeout.ms": 170000, "batch.num.messages": 100, "broker.address.family": "v4", "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 20, "topic.metadata.propagation.max.ms": 170000})
        self.partition = partition
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            self.go_on()
        except Exception as e:          # else the thread would be gone without a word
            self.failed.append(repr(e))

    def go_on(self):
        while not self.ending.is_set():
            self.p.produce("stream", b"%d" % self.n + b"." * (self.n % 50), partition=self.partition, on_delivery=self.delivered)
            self.n += 1
            self.p.poll(0)
            time.sleep(0.003)

    def delivered(self, error, message):
        if error:
            self.failed.append(str(error))
        self.acked += error is None

    def end(self):
        self.ending.set()
        self.thread.join()
        left = self.p.flush(60)
        assert not left and not self.failed, f"{left} unsent; {self.failed[:3]}"


class History:
    """What was written to the topics that are filled between two changes, and what must be found there."""

    def __init__(self, b):
        self.values = {(t, n): [] for t, (partitions, _) in TOPICS.items() if t != "stream" for n in range(partitions)}
        self.cut_at = self.short_start = 0
        with b.connect() as c:
            answer = c.call("CreateTopics", 4, {"Topics": [{"Name": t, "NumPartitions": n, "ReplicationFactor": 1, "Configs": [
                {"Name": k, "Value": str(v)} for k, v in config.items()]} for t, (n, config) in TOPICS.items()], "timeoutMs": 20000})
            assert not any(t["ErrorCode"] for t in answer["Topics"]), answer
        self.leads(b)

    def leads(self, b):
        """Every partition has its leader again."""
        for t, (partitions, _) in TOPICS.items():
            for n in range(partitions):
                wait_until(lambda: list_offset(b, t, -1, n)["ErrorCode"] == 0, 30, f"{t}-{n}")

    def put(self, b, topic, version, data, values, partition=0):
        with b.connect() as c:
            answer = c.call("Produce", version, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [{"Name": topic, "PartitionData": [
                {"Index": partition, "Records": data}]}]})["Responses"][0]["PartitionResponses"][0]
        assert answer["ErrorCode"] == 0 and answer["BaseOffset"] == len(self.values[topic, partition]), answer
        self.values[topic, partition] += values

    def write(self, b, tag):
        for i, codec in enumerate(records.CODECS):
            part = [b"%s %s %d" % (tag.encode(), codec.encode(), j) + b"z" * 70 for j in range(60)]
            for topic in ("short", "cut", "packed", "plain"):
                confluent_produce(b, topic, part, codec)
                self.values[topic, 0] += part
        for magic, version in ((0, 0), (1, 2), (0, 1), (1, 3)):
            part = [b"%s %d %d %d" % (tag.encode(), magic, version, j) for j in range(5)]
            if version < 3:
                self.put(b, "old", version, records.messages(part, magic), part)
                self.put(b, "old", version, records.wrapped(part, magic), part)
        for n in (0, 1):
            part = [b"%s after the old ones" % tag.encode()]
            self.put(b, "older", 3, records.batch(part), part, n)
        self.cut(b, len(self.values["cut", 0]) - 100)
        with b.connect() as c:
            c.call("IncrementalAlterConfigs", 0, {"Resources": [{"ResourceType": 2, "ResourceName": "plain", "Configs": [
                {"Name": "max.message.bytes", "ConfigOperation": 0, "Value": str(100000 + len(self.values["plain", 0]))}]}]})

    def cut(self, b, offset):
        with b.connect() as c:
            answer = c.call("DeleteRecords", 1, {"Topics": [{"Name": "cut", "Partitions": [{"PartitionIndex": 0, "Offset": offset}]}], "TimeoutMs": 5000})
        assert answer["Topics"][0]["Partitions"][0]["LowWatermark"] == offset, answer
        self.cut_at = offset

    def written_down(self, b):
        """The new start of a log is in its checkpoint a while after DeleteRecords was answered; a kill before that would take it back."""
        wait_until(lambda: f"cut 0 {self.cut_at}\n" in (b.data / "log-start-offset-checkpoint").read_text(), 20)

    def check(self, b):
        assert list_offset(b, "cut", -2)["Offset"] == self.cut_at
        start = list_offset(b, "short", -2)["Offset"]
        assert start >= self.short_start, "what retention took away came back"
        self.short_start = start
        for (topic, n), values in self.values.items():
            first = {"cut": self.cut_at, "short": start}.get(topic, 0)
            assert list_offset(b, topic, -1, n)["Offset"] == len(values), topic
            if topic == "older":        # librdkafka no longer reads these formats
                assert kafka_python_consume(b, topic, len(values), partition=n) == values
                continue
            try:
                got = confluent_consume(b, topic, len(values) - first, partition=n, offset=first) if len(values) > first else []
            except AssertionError:
                if topic != "short" or list_offset(b, "short", -2)["Offset"] == start:
                    raise
                continue            # retention was quicker
            assert got == values[first:], f"{topic}-{n}"
        with b.connect() as c:
            row = c.call("DescribeConfigs", 1, {"Resources": [{"ResourceType": 2, "ResourceName": "plain", "ConfigurationKeys": ["max.message.bytes"]}]})
            n = len(self.values["plain", 0])
            assert not n or row["Results"][0]["Configs"][0]["Value"] == str(100000 + n)

    def age(self, b):
        """Puts segments as of before 0.11 into a stopped broker's directory: format 0 in one partition, 1 in the other."""
        def plain(part, first):
            return [records.message(v, magic=0, offset=first + j) for j, v in enumerate(part)]

        def compressed(part, first):        # the wrapper has the offset of the last one, those inside count from 0
            inner = b"".join(records.message(v, magic=1, offset=j) for j, v in enumerate(part))
            return [records.message(gzip.compress(inner), magic=1, offset=first + len(part) - 1, attributes=1)]

        for n, make in ((0, plain), (1, compressed)):
            values = [b"older %d %d" % (n, i) for i in range(300)]
            parts = []
            for i in range(0, 300, 10):
                parts += make(values[i:i + 10], i)
            assert self.values["older", n] == []
            d = b.partition_dir("older", n)
            (d / f"{0:020d}.log").write_bytes(b"".join(parts))
            for f in d.glob("*index"):
                f.unlink()
            self.values["older", n] += values


def check_files(data):
    """Both checkers over every file of the directory."""
    ottla("log", "verify", data)
    logs = [f for f in sorted(data.glob("*/*.log")) if f.stat().st_size > 0]
    text = dump(*logs, args=("--deep-iteration",))
    assert "isvalid: false" not in text and text.count("\nLog starting offset:") == len(logs), text[-3000:]
    indexes = [f for kind in ("index", "timeindex") for f in data.glob(f"*/*.{kind}") if f.stat().st_size > 0]
    text = dump(*indexes, args=("--index-sanity-check",))
    assert text.count("passed sanity check.") == len(indexes), text[-3000:]
    text = dump(*indexes)
    assert not re.search(r"mismatch|out of order|Found|Mismatch", text), text[-3000:]


def take_turns(brokers, turns):
    """turns: [(kind of broker, how it ends)]"""
    b = brokers(turns[0][0], config=CONFIG).start()
    history = History(b)
    b.stop()
    history.age(b)
    streams, last = [], 0
    try:
        for n, (kind, end) in enumerate(turns):
            b = brokers.adopt(b.as_kind(kind)).start()
            history.leads(b)
            history.check(b)
            streams = streams or [Stream(b, codec, i) for i, codec in enumerate(records.CODECS)]
            before = [s.acked for s in streams]
            history.write(b, f"{n} {kind}")
            try:
                wait_until(lambda: all(s.acked > a + 100 for s, a in zip(streams, before)), 60)
            except AssertionError:
                raise AssertionError(f"turn {n}, {kind}: streams stand still: {[(s.n, s.acked, a, s.failed[:1]) for s, a in zip(streams, before)]}") from None
            history.check(b)
            if n == len(turns) - 1:
                for s in streams:
                    s.end()
            history.written_down(b)
            getattr(b, STOPS[end])()
    finally:
        for s in streams:
            s.ending.set()
    b = brokers.adopt(b.as_kind(turns[-1][0])).start()
    history.leads(b)
    history.check(b)
    for s in streams:
        got = [int(v.split(b".")[0]) for v in confluent_consume(b, "stream", s.n, partition=s.partition)]
        assert got == list(range(s.n)), f"{records.CODECS[s.partition]}: lost or doubled"
        assert list_offset(b, "stream", -1, s.partition)["Offset"] == s.n
    b.stop()
    check_files(b.data)


def test_java_and_we_take_turns_on_one_directory_while_producers_go_on(brokers, kind):
    take_turns(brokers, [("java", "clean"), (kind, "killed"), ("java", "killed"), (kind, "clean")])


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", ["java", "ours"])
@pytest.mark.parametrize("ends", ["clean clean clean clean", "killed killed killed killed", "clean killed clean killed", "killed clean killed clean",
                                  "killed killed clean clean"])
def test_every_way_of_taking_turns(brokers, kind, first, ends):
    order = ["java", kind] if first == "java" else [kind, "java"]
    take_turns(brokers, list(zip(order * 2, ends.split())))
