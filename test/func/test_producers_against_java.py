# SPDX-License-Identifier: Apache-2.0
"""Idempotent producers, answer by answer, beside Java: InitProducerId, sequences and epochs, DescribeProducers, and what is left of all that after a
restart, a kill, deleted segments, and a change between Java and us on one directory."""
import json
import time

import pytest

from harness import records, wire
from harness.broker import make_broker
from harness.proc import wait_until
from test_against_java import difference, normalise
from test_zookeeper import close_session

pytestmark = pytest.mark.zookeeper

NOW = int(time.time() * 1000)       # a producer with old records is forgotten when it is read from a snapshot
MAX = 2**31 - 1
BLOCK = "/latest_producer_id_block"
TOPICS = {"plain": {}, "stamped": {"message.timestamp.type": "LogAppendTime"}, "small": {"segment.bytes": "400", "file.delete.delay.ms": "0"}}
PARTITIONS = 40


class Side:
    """One of the two brokers, with what it has answered."""

    def __init__(self, broker):
        self.b = broker
        self.c = None

    def connect(self):
        self.close()
        self.c = self.b.connect(timeout=20)

    def close(self):
        if self.c:
            self.c.close()
            self.c = None

    def call(self, name, version, message):
        if self.c is None:
            self.connect()
        try:
            return self.c.call(name, version, message)
        except wire.Closed:
            self.close()
            return "closed"

    def start(self):
        self.b.start()
        for t in TOPICS:
            wait_until(lambda: self.leads(t), 20, f"the partitions of {t}")

    def leads(self, t):
        """Its partitions are here, and Produce knows of the topic."""
        answer = self.call("DescribeProducers", 0, {"Topics": [{"Name": t, "PartitionIndexes": list(range(PARTITIONS))}]})
        return all(p["ErrorCode"] == 0 for p in answer["Topics"][0]["Partitions"])

    def make_topics(self):
        with self.b.connect() as c:
            answer = c.call("CreateTopics", 4, {"Topics": [{"Name": t, "NumPartitions": PARTITIONS, "ReplicationFactor": 1, "Configs": [
                {"Name": k, "Value": v} for k, v in {"segment.index.bytes": "1024", "retention.ms": "-1", **config}.items()]}
                for t, config in TOPICS.items()], "timeoutMs": 20000})
            assert not any(t["ErrorCode"] for t in answer["Topics"]), answer
        for t in TOPICS:
            wait_until(lambda: self.leads(t), 20, f"the partitions of {t}")

    def first_id(self):
        """The first request of a broker's life is answered: come again."""
        return wait_until(lambda: (a := self.call("InitProducerId", 0, {"TransactionalId": None, "TransactionTimeoutMs": 1}))["ErrorCode"] == 0 and [a["ProducerId"]], 20)


@pytest.fixture(scope="module")
def sides(kind, zk, tmp_path_factory):
    made = []
    try:
        for n, k in enumerate(("java", kind)):
            b = make_broker(k, tmp_path_factory.mktemp(f"producers-{k}"), f"{zk.address}/producers-{kind}-{n}", 1, {"zookeeper.session.timeout.ms": 4000})
            made.append(Side(b))
            b.start()
            made[-1].make_topics()
        yield made
    finally:
        for s in made:
            s.close()
            s.b.cleanup()


def clean(side, value):
    """The time of the broker's own clock has no value to compare."""
    def walk(v, key=""):
        if isinstance(v, dict):
            return {k: walk(x, k) for k, x in v.items()}
        if isinstance(v, list):
            return [walk(x, key) for x in v]
        return "some time" if key in ("LogAppendTimeMs", "LastTimestamp") and v > NOW else v

    return walk(normalise(side.b, value))


def both(sides, steps):
    """Every step (api, version, message) sent to both; all answers the same.  -> ours, as they came"""
    answers = [[s.call(*step) for step in steps] for s in sides]
    java, ours = ([clean(s, a) for a in got] for s, got in zip(sides, answers))
    assert ours == java, difference(ours, java)
    return answers[1]


def idem(sequence, n=1, epoch=0, producer=4711, ts=NOW, **more):
    return records.batch([b"i"] * n, producer=producer, epoch=epoch, sequence=sequence, first_ts=ts, **more)


def produce(partition, *batches, topic="plain", version=11, acks=-1):
    return [("Produce", version, {"Acks": acks, "TimeoutMs": 3000, "TopicData": [{"Name": topic, "PartitionData": [{"Index": partition, "Records": b}]}]})
            for b in batches]


def describe(*partitions, topic="plain"):
    return [("DescribeProducers", 0, {"Topics": [{"Name": topic, "PartitionIndexes": list(partitions)}]})]


def end(partition, topic="plain"):
    return [("ListOffsets", 7, {"Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": partition, "Timestamp": -1}]}]})]


def errors(answers):
    return [a["Responses"][0]["PartitionResponses"][0]["ErrorCode"] for a in answers if "Responses" in a]


SEVEN = [idem(2 * i, 2) for i in range(7)]
SEQUENCES = {       # -> batches, what Kafka documents of them (so that two equal mistakes are not taken for an answer)
    "each of the last five again": (SEVEN + SEVEN[2:] + [SEVEN[1], SEVEN[0], idem(14)], [0] * 12 + [45, 45, 0]),
    "the same numbers in another shape": ([idem(0, 2), idem(2, 2), idem(2, 1), idem(3, 1), idem(0, 4), idem(2, 3), idem(4)], [0, 0, 45, 45, 45, 45, 0]),
    "a gap, then what was missing": ([idem(0), idem(2), idem(1), idem(2), idem(2)], [0, 45, 0, 0, 0]),
    "a new epoch": ([idem(0), idem(1), idem(0, epoch=1), idem(1, epoch=1), idem(2), idem(0), idem(5, epoch=2), idem(0, epoch=1), idem(0, epoch=32767)],
                    [0, 0, 0, 0, 47, 47, 45, 0, 0]),
    "the numbers run over": ([idem(MAX - 1, 2), idem(0), idem(MAX - 1, 2), idem(1), idem(2)], [0] * 5),
    "a batch across the end of the numbers": ([idem(MAX - 1), idem(MAX, 3), idem(2), idem(MAX, 3), idem(1)], [0, 0, 0, 0, 45]),
    "one never seen begins anywhere": ([idem(77, 3), idem(80), idem(77, 3), idem(0)], [0, 0, 0, 45]),
    "several producers": ([idem(0, producer=p, epoch=p % 3) for p in (1, 2, 17, 33, 1 << 33)] + [idem(1, producer=p, epoch=p % 3) for p in (33, 17, 1)]
                          + [idem(0, producer=2, epoch=2), idem(0, producer=1, epoch=0)], [0] * 9 + [47]),
    "an epoch below zero": ([idem(0, epoch=-1), idem(5, epoch=-1), idem(0, epoch=-1), idem(9, epoch=0), idem(0, epoch=0), idem(6, epoch=-1)], None),
    "times that go back": ([idem(0, ts=NOW + 5), idem(1, ts=NOW - 5), idem(0, ts=NOW + 5), idem(1, ts=NOW)], [0] * 4),
    "compressed": ([idem(0, 3, codec="gzip"), idem(0, 3, codec="gzip"), idem(0, 3), idem(3, codec="gzip")], [0] * 4),
}
CASES = [(words, topic, version) for words in SEQUENCES for topic, version in (("plain", 11), ("stamped", 3), ("stamped", 8), ("small", 10))]
PLACES = {(topic, words, version): n for topic in TOPICS for n, (words, t, version) in enumerate(c for c in CASES if c[1] == topic)}


@pytest.mark.parametrize("words,topic,version", [pytest.param(*c, id=f"{c[0].replace(' ', '_')}-{c[1]}-{c[2]}") for c in CASES])
def test_sequences_and_epochs_are_judged_as_java_does(sides, words, topic, version):
    batches, codes = SEQUENCES[words]
    n = PLACES[topic, words, version]
    got = both(sides, produce(n, *batches, topic=topic, version=version) + describe(n, topic=topic) + end(n, topic))
    assert codes is None or errors(got) == codes


def test_a_batch_that_fails_takes_the_pipelined_ones_behind_it_along(sides):
    """Five on the way at once, as a producer has them: the second is missing from the first sending."""
    def pipelined(side, batches):
        with side.b.connect(timeout=20) as c:
            for step in produce(30, *batches):
                c.send(*step)
            return [clean(side, c.receive("Produce", 11)) for _ in batches]

    java, ours = (pipelined(s, [idem(0), idem(1), idem(3), idem(4), idem(5)]) for s in sides)
    assert ours == java and errors(ours) == [0, 0, 45, 45, 45], difference(ours, java)
    java, ours = (pipelined(s, [idem(2), idem(3), idem(4), idem(5), idem(6)]) for s in sides)
    assert ours == java and errors(ours) == [0] * 5, difference(ours, java)
    java, ours = (pipelined(s, [idem(2), idem(7), idem(3), idem(9), idem(6)]) for s in sides)
    assert ours == java and errors(ours) == [0, 0, 0, 45, 0], difference(ours, java)
    # one that takes a worker's time does not let the next ones pass
    big = idem(8, 3, codec="gzip", payload=b"".join(records.record(i, b"x" * 300_000) for i in range(3)))
    java, ours = (pipelined(s, [big, idem(11), idem(12), big, idem(13)]) for s in sides)
    assert ours == java and errors(ours) == [0] * 5, difference(ours, java)
    both(sides, describe(30) + end(30))


def test_acks_0_and_1_are_judged_too(sides):
    got = both(sides, produce(31, idem(0), idem(0), idem(2), acks=1) + end(31))
    assert errors(got) == [0, 0, 45]
    for s in sides:
        with s.b.connect() as c:
            for step in produce(31, idem(1), idem(1), idem(2), acks=0):
                c.send(*step)
            c.call("ApiVersions", 0, {})
    both(sides, describe(31) + end(31))


# ---- InitProducerId ----
def init(version, **fields):
    fields = {"TransactionalId": None, "TransactionTimeoutMs": 60000, **fields}
    return ("InitProducerId", version, {k: v for k, v in fields.items() if version >= 3 or k not in ("ProducerId", "ProducerEpoch")})


INITS = [dict(TransactionTimeoutMs=t) for t in (60000, 0, -1, MAX)] + [dict(TransactionalId="t", TransactionTimeoutMs=t) for t in (1, 900000, 900001, 0, -1)] + \
        [dict(TransactionalId=""), dict(TransactionalId="", TransactionTimeoutMs=0), dict(TransactionalId="x" * 500)] + \
        [dict(TransactionalId=t, ProducerId=p, ProducerEpoch=e) for t in (None, "t", "") for p, e in ((-1, 0), (5, -1), (5, 0), (-1, -1), (-2, -2), (0, 0), (0, 32767))] + \
        [dict(TransactionalId="t", TransactionTimeoutMs=0, ProducerId=5)]


@pytest.mark.parametrize("version", range(6))
def test_init_producer_id_answers_as_java(sides, zk, version):
    java, ours = (s.first_id() for s in sides)
    assert ours == java
    both(sides, [init(version, **fields) for fields in INITS])
    for s in sides:
        with zk.session(s.b.zk_connect[s.b.zk_connect.index("/"):]) as k:
            assert "__transaction_state" not in k.get_children("/brokers/topics")


def test_ids_come_in_blocks_as_javas_and_the_znode_is_the_same(sides, zk):
    def claim(s, n):
        ids = []
        while len(ids) < n:
            answer = s.call(*init(4))
            assert answer["ErrorCode"] in (0, 14)
            if answer["ErrorCode"] == 0:
                ids.append(answer["ProducerId"])
        return ids

    def znode(s):
        with zk.session(s.b.zk_connect[s.b.zk_connect.index("/"):]) as k:
            return json.loads(k.get(BLOCK)[0])

    first = [s.first_id()[0] for s in sides]
    assert first[0] == first[1]
    # Into the block behind the next one; the block ahead is fetched at nine tenths.
    want = 2500 - first[0]
    java, ours = (claim(s, want) for s in sides)
    assert java == ours == list(range(first[0] + 1, first[0] + 1 + want))
    assert znode(sides[0]) == znode(sides[1]) == {"version": 1, "broker": 1, "block_start": "2000", "block_end": "2999"}
    for s in sides:
        claim(s, 410)
    for s in sides:
        wait_until(lambda: znode(s)["block_end"] == "3999", 10)


def test_a_controller_gives_brokers_their_blocks_as_java(sides, zk):
    """AllocateProducerIds; the broker that asks may be Java and its controller Ottla, or the other way round."""
    def epoch(s):
        with zk.session(s.b.zk_connect[s.b.zk_connect.index("/"):]) as k:
            return k.exists("/brokers/ids/1").czxid

    def allocate(broker, epoch):
        return ("AllocateProducerIds", 0, {"BrokerId": broker, "BrokerEpoch": epoch})

    java, ours = (s.call(*allocate(1, epoch(s))) for s in sides)
    assert ours == java and ours["ErrorCode"] == 0 and ours["ProducerIdLen"] == 1000, (ours, java)
    both(sides, [allocate(77, 5), allocate(1, 5), allocate(1, -1), allocate(-1, -1)])
    java, ours = (s.call(*allocate(1, epoch(s))) for s in sides)
    assert ours == java and ours["ProducerIdStart"] % 1000 == 0


# ---- DescribeProducers ----
def test_describe_producers_answers_as_java(sides):
    def rows(*topics):
        return ("DescribeProducers", 0, {"Topics": [{"Name": n, "PartitionIndexes": p} for n, p in topics]})

    both(sides, produce(32, idem(0, 3, epoch=4), idem(0, producer=3), idem(3, epoch=4)) + produce(33, idem(8, producer=6)))
    got = both(sides, [rows(), rows(("plain", [])), rows(("plain", [32, 33, 34])), rows(("plain", [33, 32, 33])), rows(("plain", [32]), ("plain", [32])),
                       rows(("plain", [99, -1, 32])), rows(("nobody", [0, 1]), ("plain", [32])), rows(("nobody", [])), rows(("", [0])), rows(("a b", [0])),
                       rows(("x" * 250, [0])), rows((".", [0, 0])), rows(("plain", [32]), ("stamped", [0]), ("a/b", [1]), ("small", [MAX]))])
    (p32, p33, p34) = got[2]["Topics"][0]["Partitions"]
    assert [(p["ProducerId"], p["ProducerEpoch"], p["LastSequence"]) for p in p32["ActiveProducers"]] == [(3, 0, 0), (4711, 4, 3)]
    assert p33["ActiveProducers"][0] == {"ProducerId": 6, "ProducerEpoch": 0, "LastSequence": 8, "LastTimestamp": NOW, "CoordinatorEpoch": -1,
                                         "CurrentTxnStartOffset": -1}
    assert p34["ErrorCode"] == 0 and p34["ActiveProducers"] == []


# ---- what stays ----
MANY = [5, 21, 37, 4711, 1 << 33, 16, 0, 1, 2**62]      # in a Java hash table these are not in order


def history():
    """What each partition from 35 on has seen."""
    return (produce(35, *[idem(2 * i, 2) for i in range(7)]) + produce(36, *[idem(0, producer=p) for p in MANY], *[idem(1, producer=p) for p in MANY[::2]])
            + produce(37, *[idem(i, ts=NOW + i) for i in range(20)], topic="small") + produce(38, idem(0), idem(0, epoch=1), idem(0, epoch=2), idem(1, epoch=2))
            + produce(39, idem(0, ts=1_600_000_000_000), idem(0, producer=1))
            + produce(29, *[idem(i) for i in range(5)]) + delete(29, 3) + produce(29, idem(0), idem(4), idem(6))
            + produce(28, *[idem(i) for i in range(5)]) + delete(28, -1) + produce(28, idem(0), idem(4), idem(6)) + describe(28, 29))


def delete(partition, offset):
    return [("DeleteRecords", 2, {"Topics": [{"Name": "plain", "Partitions": [{"PartitionIndex": partition, "Offset": offset}]}], "TimeoutMs": 5000})]


def known():
    """Who is known, that the last batch of each is, and what is refused."""
    return (describe(28, 29, 35, 36, 38, 39) + describe(37, topic="small") + produce(35, idem(12, 2), idem(16), idem(0, 2), idem(12))
            + produce(36, *[idem(1, producer=p) for p in MANY[::2]], *[idem(0, producer=p) for p in MANY[1::2]], *[idem(5, producer=p) for p in MANY])
            + produce(38, idem(1, epoch=2), idem(2, epoch=1), idem(0, epoch=1)) + produce(29, idem(4), idem(7))
            + produce(37, idem(19, ts=NOW + 19), idem(2, ts=NOW), topic="small"))


def sent_again(side, kind):
    """The batches before the last, of the last five: what a producer sends again that had five on the way when its broker ended.  A snapshot has only
    the last, and Java leaves it at that: the others are out of order, Java's client takes another epoch and writes them twice.  We look them up."""
    kept = kind == "ottla"
    for partition, batches, offsets, topic in ((35, [idem(2 * i, 2) for i in range(2, 6)], [4, 6, 8, 10], "plain"),
                                               (37, [idem(i, ts=NOW + i) for i in range(15, 19)], [15, 16, 17, 18], "small"),
                                               (38, [idem(0, epoch=2)], [2], "plain")):
        rows = [side.call(*step)["Responses"][0]["PartitionResponses"][0] for step in produce(partition, *batches, topic=topic)]
        want = [(0, o) for o in offsets] if kept else [(45, -1)] * len(offsets)
        assert [(r["ErrorCode"], r["BaseOffset"]) for r in rows] == want, (partition, rows)


def snapshots(side):
    return {f"{p.parent.name}/{p.name}": p.read_bytes() for p in sorted(side.b.data.glob("*-*/*.snapshot"))
            if p.parent.name in [f"plain-{n}" for n in (28, 29, 35, 36, 38, 39)] + ["small-37"]}


def ends():
    return end(28) + end(29) + end(35) + end(36) + end(38) + end(39) + end(37, "small")


def test_what_is_known_of_producers_survives_as_in_java(sides, zk):
    both(sides, history())
    # a clean end: the snapshot is all there is, the last batch of each
    for s in sides:
        s.close()
        s.b.stop()
    java, ours = map(snapshots, sides)
    assert len(java) > 6 and sorted(ours) == sorted(java)
    different = [n for n in java if ours[n] != java[n]]
    assert not different, f"{different[0]}: ours {ours[different[0]].hex(' ')}, Java's {java[different[0]].hex(' ')}"
    for s in sides:
        s.start()
    both(sides, known())
    for s in sides:
        sent_again(s, s.b.kind)
    both(sides, ends())
    # kill -9: batches are read again
    for s in sides:
        s.close()
        with zk.session(s.b.zk_connect[s.b.zk_connect.index("/"):]) as k:
            owner = k.exists("/brokers/ids/1").ephemeralOwner
        s.b.kill9()
        if s.b.kind == "java":
            close_session(zk, owner)        # ours is closed by its keeper
        s.start()
    both(sides, known())
    for s in sides:
        sent_again(s, s.b.kind)
    # and who was forgotten may begin anywhere: his record was old, or everything of his was deleted and the broker started again
    both(sides, ends() + produce(39, idem(9, ts=NOW), idem(10, ts=NOW)) + produce(28, idem(7), idem(8)) + produce(35, idem(14, 2)) + ends())


@pytest.mark.parametrize("first", ["java", "ours"])
def test_one_continues_the_others_producers(brokers, kind, topic, first):
    """Same id, same directory: a retry of what the one has written is known to the other, and the numbers go on."""
    order = ["java", kind, "java"] if first == "java" else [kind, "java", kind]
    b = brokers(order[0]).start()
    t = topic(b, config={"segment.bytes": "600", "segment.index.bytes": "1024", "retention.ms": "-1"})
    offset, sequence = 0, {1: 0, 900: 0}
    for n, k in enumerate(order):
        if n:
            b.stop()
            b = brokers.adopt(b.as_kind(k)).start()
        side = Side(b)
        wait_until(lambda: side.call(*describe(0, topic=t)[0])["Topics"][0]["Partitions"][0]["ErrorCode"] == 0, 20)

        def send(batch):
            p = side.call(*produce(0, batch, topic=t)[0])["Responses"][0]["PartitionResponses"][0]
            return p["ErrorCode"], p["BaseOffset"]

        if n:
            assert send(idem(sequence[900] - 2, 2, producer=900)) == (0, offset - 2)
            assert send(idem(sequence[1] - 1, producer=1)) == (0, offset - 3)
            assert send(idem(sequence[900] - 4, 2, producer=900)) == ((0, offset - 5) if k == "ottla" else (45, -1))      # see sent_again
            assert send(idem(sequence[1] + 1, producer=1)) == (45, -1)
            rows = side.call(*describe(0, topic=t)[0])["Topics"][0]["Partitions"][0]["ActiveProducers"]
            assert sorted((r["ProducerId"], r["LastSequence"], r["LastTimestamp"]) for r in rows) == [(1, sequence[1] - 1, NOW), (900, sequence[900] - 1, NOW)]
        for _ in range(12):
            assert send(idem(sequence[1], producer=1)) == (0, offset)
            assert send(idem(sequence[900], 2, producer=900)) == (0, offset + 1)
            offset, sequence[1], sequence[900] = offset + 3, sequence[1] + 1, sequence[900] + 2
        side.close()
    assert [o for o, _ in records.values(b"".join(x.raw for x in records.stored(b.partition_dir(t))))] == list(range(offset))
