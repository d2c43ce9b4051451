# SPDX-License-Identifier: Apache-2.0
"""Several log directories: one that dies, one that comes back, and the last one."""
import json
import shutil

import pytest

from harness import java, records
from harness.clients import confluent_consume, confluent_produce
from harness.proc import wait_until
from test_durability import Load
from test_fetch import fetch, one, produce

STORAGE, NO_LEADER, NO_DIR, NOT_HERE, UNKNOWN = 56, 5, 57, 9, 3
# A directory is looked at often, so that a failure is met at once also where nobody writes.
OFTEN = {"replica.high.watermark.checkpoint.interval.ms": 200}


class Dirs:
    """A broker's two log directories.  One that is broken is a plain file in its place: nobody can open, make or rename anything there, root
    included; descriptors that are open stay good, as on a disk that was pulled."""
    def __init__(self, b, n=2):
        self.broker = b
        self.paths = [b.directory / f"d{i}" for i in range(n)]
        b.config["log.dirs"] = ",".join(map(str, self.paths))
        b.config.update(OFTEN)

    def away(self, i):
        return self.paths[i].with_suffix(".away")

    def break_(self, i):
        self.paths[i].rename(self.away(i))
        self.paths[i].write_text("not a directory\n")

    def mend(self, i):
        self.paths[i].unlink()
        self.away(i).rename(self.paths[i])

    def of(self, name):
        """index of the directory that holds the partition `name`; that of a new one is made behind the answer to CreateTopics"""
        def places():
            return [i for i, p in enumerate(self.paths) if (p / name).is_dir() or (self.away(i) / name).is_dir()]
        wait_until(places, 20, f"the directory of {name}")
        return places()[0]


def partitions(b, t, version=9):
    with b.connect() as c:
        answer = c.call("Metadata", version, {"Topics": [{"Name": t}], "AllowAutoTopicCreation": False})
    return {p["PartitionIndex"]: p for p in answer["Topics"][0]["Partitions"]} if answer["Topics"] else {}


def state(zk, b, t, p):
    with zk.session("/" + b.zk_connect.partition("/")[2]) as k:
        data, stat = k.get(f"/brokers/topics/{t}/partitions/{p}/state")
    return json.loads(data)


def look(b, zk, t, lost, live, epoch):
    """What clients and ZooKeeper see of two partitions, one of which is in a directory that has failed."""
    wait_until(lambda: partitions(b, t)[lost]["OfflineReplicas"], 30, "the controller to hear of the directory")
    seen = partitions(b, t)
    assert (seen[lost]["ErrorCode"], seen[lost]["LeaderId"], seen[lost]["ReplicaNodes"], seen[lost]["IsrNodes"], seen[lost]["OfflineReplicas"]) == (
        NO_LEADER, -1, [b.id], [b.id], [b.id])
    assert (seen[live]["ErrorCode"], seen[live]["LeaderId"], seen[live]["OfflineReplicas"]) == (0, b.id, [])
    kept = state(zk, b, t, lost)
    assert (kept["leader"], kept["isr"], kept["leader_epoch"]) == (-1, [b.id], epoch), kept
    assert seen[lost]["LeaderEpoch"] == epoch
    assert state(zk, b, t, live)["leader"] == b.id
    with zk.session("/" + b.zk_connect.partition("/")[2]) as k:
        wait_until(lambda: k.get_children("/log_dir_event_notification") == [], 10, "the notification to be removed")
    with b.connect() as c:
        assert produce(c, t, records.batch([b"no"]), partition=lost)["ErrorCode"] == STORAGE
        assert one(fetch(c, t, partition=lost))["ErrorCode"] == STORAGE
        listed = c.call("ListOffsets", 5, {"ReplicaId": -1, "Topics": [{"Name": t, "Partitions": [
            {"PartitionIndex": p, "Timestamp": -1, "CurrentLeaderEpoch": -1} for p in (lost, live)]}]})["Topics"][0]["Partitions"]
        assert {p["PartitionIndex"]: p["ErrorCode"] for p in listed} == {lost: STORAGE, live: 0}


def test_a_directory_that_dies_takes_only_its_own_partitions_and_brings_them_back(brokers, kind, topic, zk):
    b = brokers(kind)
    d = Dirs(b)
    b.start()
    t = topic(b, partitions=2)
    dead = d.of(f"{t}-0")
    lost, live = 0, 1
    assert d.of(f"{t}-1") != dead, "each directory got one"
    for p in (lost, live):
        confluent_produce(b, t, [b"%d" % p, b"more"], partition=p)
    d.break_(dead)
    look(b, zk, t, lost, live, 1)
    with b.connect() as c:
        assert produce(c, t, records.batch([b"goes on"]), partition=live)["ErrorCode"] == 0
    u = topic(b, partitions=4)
    assert {d.of(f"{u}-{i}") for i in range(4)} == {1 - dead}, "new partitions stand in the directory that lives"
    b.kill9()
    # Away at the start: the same again, with one more epoch for the leader that was tried and the one that is none.
    b.start()
    look(b, zk, t, lost, live, 3)
    assert not (d.paths[1 - dead] / f"{t}-{lost}").exists(), "no empty second log was made"
    b.kill9()
    d.mend(dead)
    b.start()
    wait_until(lambda: partitions(b, t)[lost]["ErrorCode"] == 0, 20, "the directory's partition to be led again")
    assert partitions(b, t)[lost]["OfflineReplicas"] == []
    assert confluent_consume(b, t, 2, partition=lost) == [b"0", b"more"]
    assert confluent_consume(b, t, 3, partition=live) == [b"1", b"more", b"goes on"]
    confluent_produce(b, t, [b"after"], partition=lost)
    b.stop()
    assert all((p / ".kafka_cleanshutdown").exists() for p in d.paths)


def test_the_last_directory_ends_the_process(brokers, kind, topic):
    b = brokers(kind)
    d = Dirs(b)
    b.start()
    topic(b, partitions=2)
    d.break_(0)
    wait_until(lambda: str(d.paths[0]) in b.text() and "offline" in b.text(), 20, "the first failure to be met")
    d.break_(1)
    status, text = b.wait_exit(30)
    assert status == 1 and str(d.paths[1]) in text, text[-2000:]


def test_a_start_without_any_directory_is_refused_by_name(brokers, kind):
    b = brokers(kind)
    d = Dirs(b)
    for p in d.paths:
        p.write_text("not a directory\n")
    status, text = b.launch().wait_exit(60)
    assert status == 1 and all(str(p) in text for p in d.paths), text[-2000:]


def test_directories_are_added_taken_away_and_lose_their_identity(brokers, kind, topic):
    b = brokers(kind)
    d = Dirs(b, 3)
    both = b.config["log.dirs"]
    b.config["log.dirs"] = ",".join(map(str, d.paths[:2]))
    b.start()
    t = topic(b, partitions=2)
    for p in (0, 1):
        confluent_produce(b, t, [b"kept"], partition=p)
    b.stop()
    (d.paths[1] / "meta.properties").unlink()
    b.config["log.dirs"] = both
    b.start()
    made = [dict(line.split("=", 1) for line in (p / "meta.properties").read_text().splitlines() if line[0] != "#") for p in d.paths]
    assert made[0] == made[1] == made[2]
    u = topic(b, partitions=1)
    assert d.of(f"{u}-0") == 2, "the new directory has the fewest"
    b.stop()
    lost = 0 if d.of(f"{t}-0") == 1 else 1
    b.config["log.dirs"] = f"{d.paths[0]},{d.paths[2]}"
    b.start()
    # Nothing says that the partition ever had records: both brokers begin a new log of it in a directory that is there.
    assert confluent_consume(b, t, 1, partition=1 - lost) == [b"kept"]
    with b.connect() as c:
        wait_until(lambda: one(fetch(c, t, partition=lost))["ErrorCode"] == 0, 20, "the partition to be led")
        assert one(fetch(c, t, partition=lost))["HighWatermark"] == 0
    b.stop()
    shutil.rmtree(d.paths[1])


# ---- replicas move ------------------------------------------------------------------------------------------------------------------------
def alter(b, path, t, *partitions):
    with b.connect() as c:
        answer = c.call("AlterReplicaLogDirs", 2, {"Dirs": [{"Path": str(path), "Topics": [{"Name": t, "Partitions": list(partitions)}]}]})
    return {p["PartitionIndex"]: p["ErrorCode"] for p in answer["Results"][0]["Partitions"]}


def places(b, t):
    """{(partition, future): (path, size, lag)}"""
    with b.connect() as c:
        answer = c.call("DescribeLogDirs", 4, {"Topics": None})
    return {(p["PartitionIndex"], p["IsFutureKey"]): (r["LogDir"], p["PartitionSize"], p["OffsetLag"])
            for r in answer["Results"] for topic in r["Topics"] if topic["Name"] == t for p in topic["Partitions"]}


def moved(b, t, path, partition=0, seconds=60):
    def there():
        now = places(b, t)
        return now.get((partition, False), ("",))[0] == str(path) and (partition, True) not in now
    wait_until(there, seconds, f"{t}-{partition} to be in {path}")


SMALL = {"segment.bytes": 1 << 20}


def slow(b, bytes_per_second):
    """The quota of moves stands in ZooKeeper only, as Java's; None: no limit."""
    value = {"Name": "replica.alter.log.dirs.io.max.bytes.per.second", "ConfigOperation": 0 if bytes_per_second else 1,
             "Value": str(bytes_per_second) if bytes_per_second else None}
    with b.connect() as c:
        answer = c.call("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 4, "ResourceName": str(b.id), "Configs": [value]}]})
        assert answer["Responses"][0]["ErrorCode"] == 0, answer


def test_a_replica_moves_while_it_is_written_and_read(brokers, kind, topic):
    b = brokers(kind)
    d = Dirs(b)
    b.start()
    t = topic(b, config=SMALL)
    confluent_produce(b, t, [b"%06d" % i + bytes(500) for i in range(6000)], idempotent=True)
    load = Load(b, t, 0)
    wait_until(lambda: len(load.acked) > 50, 20)
    for _ in range(2):
        here = d.of(f"{t}-0")
        assert alter(b, d.paths[1 - here], t, 0) == {0: 0}
        moved(b, t, d.paths[1 - here])
        had = len(load.acked)
        wait_until(lambda: len(load.acked) > had + 50, 20, "the producer to go on")
    acked = load.end()
    assert len(acked) == load.n, "nothing was refused (and this producer does not try twice)"
    got = confluent_consume(b, t, max(acked) + 1)
    assert got[:6000] == [b"%06d" % i + bytes(500) for i in range(6000)]
    assert len(set(got[6000:])) == len(got) - 6000, "nothing twice"
    assert all(got[o] == v for o, v in acked.items())
    wait_until(lambda: sum((p / f"{t}-0").exists() for p in d.paths) == 1, 20)
    b.kill9()
    b.start()
    assert confluent_consume(b, t, max(acked) + 1) == got
    b.stop()


def test_a_move_survives_kills_and_java_takes_over_in_the_middle(brokers, kind, topic):
    """Each kind continues what the other one began."""
    b = brokers(kind)
    d = Dirs(b)
    b.start()
    slow(b, 1_000_000)
    t = topic(b, config=SMALL)
    values = [b"%06d" % i + bytes(1000) for i in range(20000)]
    confluent_produce(b, t, values)
    here = d.of(f"{t}-0")
    assert alter(b, d.paths[1 - here], t, 0) == {0: 0}
    wait_until(lambda: places(b, t).get((0, True), ("", 0, 0))[1] > 0, 20, "the future log to get something")
    (path, size, lag) = places(b, t)[0, True]
    assert path == str(d.paths[1 - here]) and lag > 0
    b.kill9()
    assert len(list(d.paths[1 - here].glob(f"{t}-0.*-future"))) == 1
    other = b.as_kind("java" if kind == "ottla" else "ottla") if kind != "java" else b
    brokers.adopt(other)
    other.start()
    slow(other, None)
    moved(other, t, d.paths[1 - here])
    assert confluent_consume(other, t, len(values)) == values
    other.stop()
    back = other.as_kind(kind)
    brokers.adopt(back)
    back.start()
    assert confluent_consume(back, t, len(values)) == values
    assert alter(back, d.paths[here], t, 0) == {0: 0}
    moved(back, t, d.paths[here])
    assert confluent_consume(back, t, len(values)) == values
    back.stop()


def test_moves_are_refused_cancelled_and_remembered(brokers, kind, topic):
    b = brokers(kind)
    d = Dirs(b)
    b.start()
    slow(b, 1_000_000)
    t = topic(b, partitions=1, config=SMALL)
    here = d.of(f"{t}-0")
    there = 1 - here
    assert alter(b, "/no/such", t, 0, 5) == {0: NO_DIR, 5: NO_DIR}
    assert alter(b, str(d.paths[there]) + "/", t, 0) == {0: NO_DIR}
    assert alter(b, d.paths[here], t, 0, 1) == {0: 0, 1: UNKNOWN}
    assert alter(b, d.paths[there], "x" * 230, 0) == {0: 17}
    assert alter(b, d.paths[there], "a b", 0) == {0: UNKNOWN}
    confluent_produce(b, t, [bytes([i % 256]) * 1000 for i in range(20000)])
    assert alter(b, d.paths[there], t, 0) == {0: 0}
    wait_until(lambda: (0, True) in places(b, t), 20)
    assert alter(b, d.paths[there], t, 0) == {0: 0}, "twice is once"
    assert alter(b, d.paths[here], t, 0) == {0: 0}, "cancelled"
    assert (0, True) not in places(b, t)
    assert not list(d.paths[there].glob("*-future")) and list(d.paths[there].glob(f"{t}-0.*-delete"))
    # Both places are as good for a new partition; what was asked for before it came counts.
    u = topic()
    for i in range(3):
        assert alter(b, d.paths[there], u, i) == {i: UNKNOWN}
    topic(b, partitions=3, name=u)
    assert {d.of(f"{u}-{i}") for i in range(3)} == {there}
    # A topic that is deleted in the middle takes its future log along.
    assert alter(b, d.paths[there], t, 0) == {0: 0}
    wait_until(lambda: (0, True) in places(b, t), 20)
    with b.connect() as c:
        assert c.call("DeleteTopics", 3, {"TopicNames": [t], "TimeoutMs": 20000})["Responses"][0]["ErrorCode"] == 0
    wait_until(lambda: not [p for q in d.paths for p in q.glob(f"{t}-0*") if not p.name.endswith("-delete")], 20)
    d.break_(there)
    wait_until(lambda: str(d.paths[there]) in b.text() and "offline" in b.text(), 20)
    wait_until(lambda: alter(b, d.paths[there], u, 0) == {0: STORAGE}, 20)
    with b.connect() as c:
        rows = c.call("DescribeLogDirs", 4, {"Topics": None})["Results"]
    assert [(r["ErrorCode"], r["TotalBytes"], r["Topics"]) for r in rows if r["LogDir"] == str(d.paths[there])] == [(STORAGE, -1, [])]
    b.stop()


@pytest.mark.parametrize("which", ["target", "source"])
def test_a_directory_that_dies_during_a_move_costs_only_what_stands_in_it(brokers, kind, topic, which):
    b = brokers(kind)
    d = Dirs(b)
    b.start()
    slow(b, 1_000_000)
    t = topic(b, config=SMALL)
    values = [b"%06d" % i + bytes(1000) for i in range(15000)]
    confluent_produce(b, t, values)
    here = d.of(f"{t}-0")
    assert alter(b, d.paths[1 - here], t, 0) == {0: 0}
    wait_until(lambda: places(b, t).get((0, True), ("", 0))[1] > 0, 20)
    d.break_(here if which == "source" else 1 - here)
    if which == "target":
        wait_until(lambda: (0, True) not in places(b, t), 30, "the move to end")
        confluent_produce(b, t, [b"goes on"])
        values.append(b"goes on")
        assert partitions(b, t)[0]["ErrorCode"] == 0
    else:
        wait_until(lambda: partitions(b, t)[0]["ErrorCode"] == NO_LEADER, 30)
    b.kill9()
    d.mend(here if which == "source" else 1 - here)
    b.start()
    slow(b, None)
    moved(b, t, d.paths[1 - here])
    assert confluent_consume(b, t, len(values)) == values
    b.stop()


@pytest.mark.long
def test_javas_tool_moves_partitions_between_directories(brokers, kind, topic, tmp_path):
    """kafka-reassign-partitions with log_dirs: asked for, seen on its way, done; and where it may not go."""
    b = brokers(kind)
    d = Dirs(b)
    b.start()
    t = topic(b, config=SMALL)
    confluent_produce(b, t, [b"%d" % i for i in range(1000)])
    here = d.of(f"{t}-0")

    def tool(how, path):
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": t, "partition": 0, "replicas": [b.id], "log_dirs": [str(path)]}]}))
        return java.tool("kafka-reassign-partitions", "--bootstrap-server", b.address, how, "--reassignment-json-file", plan, check=False).stdout

    there = d.paths[1 - here]
    said = tool("--execute", there)
    assert f"Successfully started moving log directory to {there} for replica {t}-0 with broker {b.id}" in said, said
    wait_until(lambda: (there / f"{t}-0").is_dir(), 30)
    said = tool("--verify", there)
    assert f"Reassignment of replica {t}-0-{b.id} completed successfully." in said, said
    for elsewhere in (d.paths[here], b.directory / "nowhere"):
        said = tool("--verify", elsewhere)
        assert f"{t}-0 on broker {b.id} is not being moved from log dir {there} to {elsewhere}." in said, said
    assert len(confluent_consume(b, t, 1000)) == 1000


# ---- left-overs ---------------------------------------------------------------------------------------------------------------------------
def offset_name(base, suffix):
    return f"{base:020d}{suffix}"


def test_leftovers_of_a_broker_that_died_are_completed_dropped_or_left_alone(brokers, kind, topic):
    """Planted as compaction, retention, deletion and a move leave them; the same rules on both kinds of broker."""
    b = brokers(kind, config={"log.segment.delete.delay.ms": 1000})
    d = Dirs(b, 1)
    b.start()
    t, u = (topic(b, config={"segment.bytes": 20000, "file.delete.delay.ms": 1000}) for _ in range(2))
    values = [b"%05d" % i + bytes(900) for i in range(60)]
    for name in (t, u):
        for v in values:
            confluent_produce(b, name, [v], **{"linger.ms": 0})
    b.stop()
    first, second = d.paths[0] / f"{t}-0", d.paths[0] / f"{u}-0"
    bases = sorted(int(p.stem) for p in first.glob("*.log"))
    assert len(bases) >= 3
    # A compaction that had not committed: .cleaned goes, and so does a .swap at or above it.
    for s in (".log", ".index", ".timeindex"):
        shutil.copy(first / offset_name(0, s), first / offset_name(0, s + ".cleaned"))
        shutil.copy(first / offset_name(bases[1], s), first / offset_name(bases[1], s + ".swap"))
    (first / offset_name(7777, ".log.deleted")).write_bytes(b"x" * 100)
    for s in (".index", ".timeindex", ".txnindex"):
        (first / offset_name(9999, s)).write_bytes(b"")
    # One that had: the .swap takes the places of what it replaces, which had gone in part.
    for s in (".log", ".index", ".timeindex"):
        (second / offset_name(0, s)).rename(second / offset_name(0, s + ".swap"))
    dead, stray = (d.paths[0] / f"{n}-0.{'0123456789abcdef' * 2}-{kind_}" for n, kind_ in (("dead", "delete"), ("stray", "stray")))
    for place in (dead, stray):
        shutil.copytree(first, place)
        (place / "partition.metadata").unlink(missing_ok=True)
    b.start()
    for name in (t, u):
        assert confluent_consume(b, name, len(values)) == values
    for place in (first, second):
        left = [p.name for p in place.iterdir() if p.suffix in (".cleaned", ".swap", ".deleted") or "9999" in p.name or "7777" in p.name]
        assert not left, left
    assert sorted(int(p.stem) for p in second.glob("*.log"))[0] == 0
    wait_until(lambda: not dead.exists(), 30, "the deleted topic's directory to go")
    assert stray.exists()
    confluent_produce(b, t, [b"on"])
    assert confluent_consume(b, t, 1, offset=len(values)) == [b"on"]
    b.stop()


def test_the_tool_sees_the_directories(broker, topic):
    from harness import java
    t = topic(broker, partitions=2)
    confluent_produce(broker, t, [b"x" * 1000])
    text = java.tool("kafka-log-dirs", "--bootstrap-server", broker.address, "--describe", "--topic-list", t).stdout
    answer = json.loads([line for line in text.splitlines() if line.startswith("{")][0])
    (row,) = answer["brokers"]
    (log_dir,) = row["logDirs"]
    assert row["broker"] == broker.id and log_dir["error"] is None
    sizes = {p["partition"]: (p["size"], p["offsetLag"], p["isFuture"]) for p in log_dir["partitions"]}
    assert sizes[f"{t}-0"] == ((broker.partition_dir(t) / offset_name(0, ".log")).stat().st_size, 0, False) and sizes[f"{t}-1"] == (0, 0, False)
