# SPDX-License-Identifier: Apache-2.0
"""Java and we, in turns on one directory: groups, offsets, and the clients that live through it."""
import pytest

from harness import records
from harness.pair import difference
from harness.clients import produce
from harness.groups import NONE, all_seen, committed, described, partition_of, ready, wait_stable
from harness.proc import wait_until

pytestmark = pytest.mark.zookeeper
CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


@pytest.fixture
def in_turns(brokers):
    """in_turns(b, end, kind, groups) -> the broker that follows b on its directory, when b was ended so and the groups are loaded."""
    def follow(b, end, kind, groups, **config):
        getattr(b, end)()
        b = brokers.adopt(b.as_kind(kind))
        b.config.update(config)
        b.start()
        for g in groups:
            ready(b, g)
        return b

    return follow


def compressed(b, group):
    """The codecs of the batches with which the group's partition was written."""
    return [x.attributes & 7 for x in records.stored(b.data / f"__consumer_offsets-{partition_of(b, group)}")]


@pytest.mark.parametrize("end,codecs", [("stop", ["gzip", "lz4"]), ("kill9", ["snappy", "zstd"])], ids=lambda x: x if isinstance(x, str) else "+".join(x))
def test_a_group_goes_on_with_java_and_with_us_in_turns(brokers, in_turns, kind, topic, group, members, end, codecs):
    """The same directory: members, generation, assignments, offsets, those of a deleted topic excepted, however the records are compressed."""
    config = {"zookeeper.session.timeout.ms": 4000, "offsets.topic.compression.codec": CODECS[codecs[0]]}
    b = ready(brokers(kind, config=config).start(), group)
    groups = [group, f"{group}-simple"]
    t, gone = topic(b, partitions=2), topic(b)
    m = members(group, where=b, session=60000, instance="static", protocols=("roundrobin", "range"))
    m.join()
    m.sync([(m.id, b"mine")])
    with b.connect() as c:
        for n in (t, gone):
            c.call("OffsetCommit", 8, {"GroupId": f"{group}-simple", "Topics": [{"Name": n, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 3}]}]})
        c.call("DeleteTopics", 4, {"TopicNames": [gone], "TimeoutMs": 10000})
        wait_until(lambda: committed(b, f"{group}-simple", gone, [0]) == {}, 20)
    was = {}
    for n, other in enumerate((kind, "java", kind)):
        was[1] = (n, f"{n} {b.kind}" * 100)
        assert m.commit(t, 1, *was[1]) == NONE
        if n < 2:
            assert {*compressed(b, group)} == {CODECS[c] for c in codecs[:n + 1]}
        b = in_turns(b, end, other, groups, **{"offsets.topic.compression.codec": CODECS[codecs[1]]})
        m.close()
        m.c = b.connect()
        assert m.heartbeat() == NONE
        was[0] = (n, f"{n} {b.kind}" * 100)
        assert m.commit(t, 0, *was[0]) == NONE
        assert committed(b, group, t, range(2)) == was
        assert committed(b, f"{group}-simple", t, [0]) == {0: (3, "")} and committed(b, f"{group}-simple", gone, [0]) == {}
        d = described(b, group)
        assert (d["GroupState"], d["ProtocolType"], d["ProtocolData"], [(x["MemberId"], x["GroupInstanceId"], x["MemberAssignment"]) for x in d["Members"]]) == (
            "Stable", "consumer", "roundrobin", [(m.id, "static", b"mine")])
    generation = m.generation
    assert m.join()["ErrorCode"] == NONE and m.generation == generation + 1


@pytest.mark.parametrize("ends", [("kill9", "stop"), pytest.param(("stop", "kill9"), marks=pytest.mark.long)], ids="-".join)
def test_clients_live_through_the_turns_and_keep_their_places(brokers, in_turns, kind, topic, group, clients, ends):
    """They may join again (a leader does so when for a moment it sees no partitions), but as who they are; no record is skipped.  (Not aiokafka, which may
    join for ever then, nor kafka-python, which takes all of a processor while there is no broker.)"""
    b = ready(brokers(kind, config={"zookeeper.session.timeout.ms": 4000}).start(), group)
    t = topic(b, partitions=3)
    found = [clients(name, b, group, t, session=120000, every=1) for name in ("confluent", "confluent", "java")]
    wait_stable(b, group, 3, 3)
    places, sent = None, []
    for end, other in (*zip(ends, ("java", kind)), (None, None)):
        sent += produce(b, t, 60, 3, first=len(sent))
        all_seen(found, sent)
        wait_until(lambda: {p: o for p, (o, _) in committed(b, group, t, range(3)).items()} == {p: len(sent) // 3 for p in range(3)}, 20, "their commits")
        wait_stable(b, group, 3, 3)
        now = {m["MemberId"]: m["MemberAssignment"] for m in described(b, group)["Members"]}
        assert places in (None, now)
        places = now
        if end:
            b = in_turns(b, end, other, [group])
    assert all(len({p for p, _, _ in c.rows}) == 1 for c in found)
    for c in found:
        c.end()
    wait_until(lambda: described(b, group)["GroupState"] == "Empty", 20, "the last to leave")


# ---- transactions -----------------------------------------------------------------------------------------------------------------------
class Transaction:
    """Records and offsets in a transaction of a Java broker, by hand."""

    def __init__(self, b, name):
        self.b, self.name = b, name
        wait_until(self.begins, 40, "the coordinator of transactions")

    def begins(self):
        with self.b.connect() as c:
            c.call("FindCoordinator", 1, {"Key": self.name, "KeyType": 1})      # makes its topic
        return self.call("InitProducerId", 4, TransactionTimeoutMs=900000)["ErrorCode"] == 0

    def call(self, api, version, name="TransactionalId", **fields):
        with self.b.connect() as c:
            a = c.call(api, version, {name: self.name, **fields})
        if api == "InitProducerId":
            self.who = {"ProducerId": a["ProducerId"], "ProducerEpoch": a["ProducerEpoch"]}
        return a

    def adds(self, topic, partition, values):
        a = self.call("AddPartitionsToTxn", 3, "V3AndBelowTransactionalId", V3AndBelowProducerId=self.who["ProducerId"],
                      V3AndBelowProducerEpoch=self.who["ProducerEpoch"], V3AndBelowTopics=[{"Name": topic, "Partitions": [partition]}])
        assert a["ResultsByTopicV3AndBelow"][0]["ResultsByPartition"][0]["PartitionErrorCode"] == 0, a
        batch = records.batch(values, attributes=0x10, producer=self.who["ProducerId"], epoch=self.who["ProducerEpoch"], sequence=0)
        a = self.call("Produce", 9, Acks=-1, TimeoutMs=5000, TopicData=[{"Name": topic, "PartitionData": [{"Index": partition, "Records": batch}]}])
        assert a["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0, a

    def commits(self, group, topic, partition, offset):
        assert self.call("AddOffsetsToTxn", 3, **self.who, GroupId=group)["ErrorCode"] == 0
        a = self.call("TxnOffsetCommit", 3, **self.who, GroupId=group, Topics=[{"Name": topic, "Partitions": [
            {"PartitionIndex": partition, "CommittedOffset": offset, "CommittedMetadata": "in a transaction"}]}])
        assert a["Topics"][0]["Partitions"][0]["ErrorCode"] == 0, a

    def ends(self, committed):
        assert self.call("EndTxn", 3, **self.who, Committed=committed)["ErrorCode"] == 0


def offsets_seen(b, group, topic):
    """-> {(version, RequireStable, for all topics): [(partition, offset, metadata, error)]} of every OffsetFetch, and where a reader of committed records stops"""
    out = {}
    with b.connect() as c:
        for version in range(1, 10):
            for stable in (False, True) if version >= 7 else (False,):
                for every in (False, True) if version >= 2 else (False,):
                    topics = None if every else [{"Name": topic, "PartitionIndexes": [0, 1, 2]}]
                    a = c.call("OffsetFetch", version, {**({"RequireStable": stable} if version >= 7 else {}), **(
                        {"Groups": [{"GroupId": group, "Topics": topics}]} if version >= 8 else {"GroupId": group, "Topics": topics})})
                    g = a["Groups"][0] if version >= 8 else a
                    out[version, stable, every] = [g.get("ErrorCode", 0), sorted(
                        (p["PartitionIndex"], p["CommittedOffset"], p["Metadata"], p["ErrorCode"]) for t in g["Topics"] for p in t["Partitions"])]
        for isolation in (0, 1):
            a = c.call("ListOffsets", 5, {"ReplicaId": -1, "IsolationLevel": isolation, "Topics": [{"Name": topic, "Partitions": [
                {"PartitionIndex": p, "CurrentLeaderEpoch": -1, "Timestamp": -1} for p in range(3)]}]})
            out["ends", isolation] = sorted((p["PartitionIndex"], p["Offset"], p["ErrorCode"]) for p in a["Topics"][0]["Partitions"])
    return out


@pytest.mark.parametrize("ends", [False, pytest.param(True, marks=pytest.mark.long)], ids=["open", "ended"])
def test_offsets_of_an_open_transaction_are_unstable_with_us_as_with_java(brokers, in_turns, kind, topic, group, ends):
    """Java leaves two open; we say 88 to those who want stable offsets, the old ones to the others, and so it is until Java ends them: then we know how."""
    b = brokers("java", config={"zookeeper.session.timeout.ms": 4000, "transaction.state.log.num.partitions": 1}).start()
    groups = [f"{group}-commits", f"{group}-aborts"]
    t = topic(b, partitions=3)
    open_ones = []
    for n, g in enumerate(groups):
        ready(b, g)
        with b.connect() as c:
            a = c.call("OffsetCommit", 8, {"GroupId": g, "Topics": [{"Name": t, "Partitions": [
                {"PartitionIndex": p, "CommittedOffset": 3 + p, "CommittedMetadata": "before"} for p in (0, 1)]}]})
        assert [p["ErrorCode"] for p in a["Topics"][0]["Partitions"]] == [NONE, NONE]
        open_ones.append(Transaction(b, g))
        open_ones[n].adds(t, n, [b"1", b"2"])
        for p in (0, 2):        # one that has an offset and one that has none
            open_ones[n].commits(g, t, p, 11 + p)

    def seen():
        return [offsets_seen(b, g, t) for g in groups]

    java = seen()
    for found in java:
        for version in (7, 8, 9):
            assert found[version, False, False] == [0, [(0, 3, "before", 0), (1, 4, "before", 0), (2, -1, "", 0)]]
            assert found[version, True, False] == [0, [(0, -1, "", 88), (1, 4, "before", 0), (2, -1, "", 88)]]
    b = in_turns(b, "stop", kind, groups)
    ours = seen()
    assert ours == java, [difference(o, j) for o, j in zip(ours, java)]
    with b.connect() as c:      # a plain commit meanwhile, of which the one that is open knows nothing
        a = c.call("OffsetCommit", 8, {"GroupId": groups[1], "Topics": [{"Name": t, "Partitions": [{"PartitionIndex": 2, "CommittedOffset": 77, "CommittedMetadata": "meanwhile"}]}]})
    assert a["Topics"][0]["Partitions"][0]["ErrorCode"] == NONE
    ours = seen()
    assert ours[1][8, False, False] == [0, [(0, 3, "before", 0), (1, 4, "before", 0), (2, 77, "meanwhile", 0)]]
    if not ends:
        return
    b = in_turns(b, "kill9", "java", groups)
    java = seen()
    assert ours == java, [difference(o, j) for o, j in zip(ours, java)]
    for x, how in zip(open_ones, (True, False)):
        x.b = b
        wait_until(lambda: x.ends(how) is None, 30, "the transaction to end")
    wait_until(lambda: all(x[9, True, True][1] and not any(e for _, _, _, e in x[9, True, True][1]) for x in seen()), 30, "the markers")
    java = seen()
    assert java[0][9, True, False] == [0, [(0, 11, "in a transaction", 0), (1, 4, "before", 0), (2, 13, "in a transaction", 0)]]
    assert java[1][9, True, False] == [0, [(0, 3, "before", 0), (1, 4, "before", 0), (2, 77, "meanwhile", 0)]]
    b = in_turns(b, "stop", kind, groups)
    ours = seen()
    assert ours == java, [difference(o, j) for o, j in zip(ours, java)]
