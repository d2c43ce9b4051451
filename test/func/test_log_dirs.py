# SPDX-License-Identifier: Apache-2.0
"""Several log directories: one that dies, one that comes back, and the last one."""
import json
import shutil

import pytest

from harness import records
from harness.clients import confluent_consume, confluent_produce
from harness.proc import wait_until
from test_fetch import fetch, one, produce

STORAGE, NO_LEADER = 56, 5
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
        """index of the directory that holds the partition `name`"""
        return [i for i, p in enumerate(self.paths) if (p / name).is_dir() or (self.away(i) / name).is_dir()][0]


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
