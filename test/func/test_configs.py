# SPDX-License-Identifier: Apache-2.0
"""Settings: what a change does, not only that it is stored; the same changes on Java and on us, answer by answer and znode by znode."""
import json
import os
import socket

import pytest

from harness import records, wire
from harness.broker import make_broker
from harness.proc import free_port, wait_until
from test_against_java import difference, normalise

pytestmark = pytest.mark.zookeeper

TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
FILE = {
    "log.retention.check.interval.ms": 100,
    "log.initial.task.delay.ms": 100,
    "log.segment.delete.delay.ms": 100,
    "log.flush.scheduler.interval.ms": 100,
    "log.flush.offset.checkpoint.interval.ms": 100,
    "password.encoder.secret": "key",
    "num.network.threads": 3,
    "num.io.threads": 8,
}


def chroot_of(b):
    return b.zk_connect[b.zk_connect.index("/"):]


@pytest.fixture(scope="module")
def own(kind, zk, tmp_path_factory):
    b = make_broker(kind, tmp_path_factory.mktemp(f"configs-{kind}"), f"{zk.address}/configs-{kind}", 1, FILE)
    try:
        yield b.start()
        assert b.alive()
    finally:
        b.cleanup()


def change(b, resource, name, *rows, validate=False):
    """rows: (name, value) sets, (name, None) deletes, (name, op, value) does what op says.  -> error code"""
    ops = [(k, SET if v is not None else DELETE, v) for k, v in (r for r in rows if len(r) == 2)] + [r for r in rows if len(r) == 3]
    with b.connect() as c:
        return c.call("IncrementalAlterConfigs", 1, {"ValidateOnly": validate, "Resources": [{"ResourceType": resource, "ResourceName": name, "Configs": [
            {"Name": k, "ConfigOperation": o, "Value": v} for k, o, v in ops]}]})["Responses"][0]["ErrorCode"]


def describe(b, resource, name, keys=None):
    with b.connect() as c:
        answer = c.call("DescribeConfigs", 4, {"IncludeSynonyms": True, "Resources": [
            {"ResourceType": resource, "ResourceName": name, "ConfigurationKeys": keys}]})["Results"][0]
    return {r["Name"]: r for r in answer["Configs"]}


@pytest.fixture
def changed(own):
    """changed(resource, name, rows...) that is undone at the end."""
    made = []

    def make(resource, name, *rows):
        made.append((resource, name, [r[0] for r in rows]))
        assert change(own, resource, name, *rows) == 0

    yield make
    for resource, name, keys in reversed(made):
        assert change(own, resource, name, *[(k, None) for k in keys]) == 0


def create(b, t, config):
    with b.connect() as c:
        answer = c.call("CreateTopics", 4, {"Topics": [{"Name": t, "NumPartitions": 1, "ReplicationFactor": 1, "Configs": [
            {"Name": k, "Value": str(v)} for k, v in {"retention.ms": -1, **config}.items()]}], "timeoutMs": 20000})
        assert answer["Topics"][0]["ErrorCode"] == 0, answer


def put(b, t, data, acks=-1):
    with b.connect() as c:
        return c.call("Produce", 9, {"Acks": acks, "TimeoutMs": 5000, "TopicData": [{"Name": t, "PartitionData": [
            {"Index": 0, "Records": data}]}]})["Responses"][0]["PartitionResponses"][0]["ErrorCode"]


def offset(b, t, when):
    with b.connect() as c:
        return c.call("ListOffsets", 7, {"Topics": [{"Name": t, "Partitions": [{"PartitionIndex": 0, "Timestamp": when}]}]})[
            "Topics"][0]["Partitions"][0]["Offset"]


@pytest.fixture
def made(own, topic):
    """A topic that is led already."""
    def make(**config):
        t = topic(own, config={k.replace("_", "."): v for k, v in config.items()})
        with own.connect() as c:
            wait_until(lambda: c.call("ListOffsets", 7, {"Topics": [{"Name": t, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]})[
                "Topics"][0]["Partitions"][0]["ErrorCode"] == 0, 20)
        return t

    return make


LARGE = records.batch([b"x" * 5000])
ONE = records.batch([b"x"], first_ts=1_600_000_000_000)


# ---- what changes do ----------------------------------------------------------------------------------------------------------------------
def test_retention_of_a_topic_is_lowered_and_its_segments_go(own, made):
    t = made(retention_ms=-1, segment_bytes=100)
    for _ in range(4):
        assert put(own, t, ONE) == 0
    assert offset(own, t, -2) == 0 and len(list(own.partition_dir(t).glob("*.log"))) == 4
    assert change(own, TOPIC, t, ("retention.ms", "1000")) == 0
    wait_until(lambda: offset(own, t, -2) == 4, 20)
    wait_until(lambda: len(list(own.partition_dir(t).glob("*.log"))) == 1, 20)


def test_retention_of_all_topics_is_lowered_and_those_with_their_own_stay(own, made, changed):
    t, u = made(segment_bytes=100, retention_ms=-1), made(segment_bytes=100)
    changed(BROKER, "", ("log.retention.ms", "-1"))
    wait_until(lambda: describe(own, BROKER, "1", ["log.retention.ms"])["log.retention.ms"]["Value"] == "-1", 20)
    now = records.batch([b"x"], first_ts=4_000_000_000_000)     # never too old
    for b in (now, now):
        assert put(own, t, b) == 0 and put(own, u, b) == 0
    assert offset(own, u, -2) == 0
    assert change(own, BROKER, "1", ("log.retention.bytes", "1")) == 0
    try:
        wait_until(lambda: offset(own, u, -2) > 0 and offset(own, t, -2) > 0, 20)
    finally:
        assert change(own, BROKER, "1", ("log.retention.bytes", None)) == 0


def test_message_max_bytes_of_the_cluster_counts_where_a_topic_has_none(own, made, changed):
    t, u = made(), made(max_message_bytes=100000)
    assert put(own, t, LARGE) == 0
    changed(BROKER, "", ("message.max.bytes", "1000"))
    wait_until(lambda: put(own, t, LARGE) == 10, 20)
    assert put(own, u, LARGE) == 0
    assert change(own, TOPIC, t, ("max.message.bytes", "6000")) == 0
    wait_until(lambda: put(own, t, LARGE) == 0, 20)


def test_compression_and_timestamps_of_the_cluster_reach_the_next_batch(own, made, changed):
    t = made()
    assert put(own, t, ONE) == 0
    changed(BROKER, "", ("compression.type", "zstd"), ("log.message.timestamp.type", "LogAppendTime"))

    def stored():
        assert put(own, t, ONE) == 0
        return "zstd" in records.stored_codecs(own.partition_dir(t))

    wait_until(stored, 20)
    assert offset(own, t, 1_700_000_000_000) >= 1       # its time is of today, that of the first batch is not


def test_segment_size_of_the_cluster_rolls_the_next_segment(own, made, changed):
    t = made()
    changed(BROKER, "", ("log.segment.bytes", "100"))

    def rolled():
        assert put(own, t, records.batch([b"x"], first_ts=4_000_000_000_000)) == 0
        return len(list(own.partition_dir(t).glob("*.log"))) > 1

    wait_until(rolled, 20)


def test_an_address_gets_only_as_many_connections_as_it_may(own, changed):
    changed(BROKER, "", ("max.connections.per.ip.overrides", "127.0.0.2:1"))

    def dial():
        s = socket.socket()
        s.bind(("127.0.0.2", 0))
        s.settimeout(5)
        s.connect(("127.0.0.1", own.port))
        return s

    def refused():
        with dial(), dial() as second:
            second.settimeout(0.3)
            try:
                return second.recv(1) == b""
            except (TimeoutError, ConnectionResetError) as e:
                return isinstance(e, ConnectionResetError)

    wait_until(refused, 20)


def test_pools_of_threads_at_most_double_and_halve(own):
    for name, now in (("num.io.threads", 8), ("num.network.threads", 3), ("background.threads", 10), ("num.recovery.threads.per.data.dir", 1)):
        assert change(own, BROKER, "1", (name, str(2 * now + 1))) == 42, name
        assert change(own, BROKER, "1", (name, str(max(now // 2 - 1, 0)))) == 42, name
        assert change(own, BROKER, "1", (name, "0")) == 42, name
        assert change(own, BROKER, "1", (name, str(2 * now))) == 0, name
        wait_until(lambda: describe(own, BROKER, "1", [name])[name]["Value"] == str(2 * now), 20)
        assert change(own, BROKER, "1", (name, str(4 * now))) == 0, name      # from what is there now
        wait_until(lambda: describe(own, BROKER, "1", [name])[name]["Value"] == str(4 * now), 20)
        assert change(own, BROKER, "1", (name, str(2 * now))) == 0, name
        wait_until(lambda: describe(own, BROKER, "1", [name])[name]["Value"] == str(2 * now), 20)
        assert change(own, BROKER, "1", (name, None)) == 0, name
        wait_until(lambda: describe(own, BROKER, "1", [name])[name]["Value"] == str(now), 20)
    with own.connect() as c:
        assert c.call("ApiVersions", 0, {})["ErrorCode"] == 0


def threads(b, prefix):
    """Those of the ZooKeeper client have the name of the worker that opened the session."""
    return sum(open(f"/proc/{b.pid}/task/{t}/comm").read().startswith(prefix) for t in os.listdir(f"/proc/{b.pid}/task"))


@pytest.mark.only("ottla")
def test_num_io_threads_is_the_number_of_workers(own):
    more = threads(own, "worker-") - 8
    assert more >= 0
    for n in (16, 9, 5):
        assert change(own, BROKER, "1", ("num.io.threads", str(n))) == 0
        wait_until(lambda: threads(own, "worker-") == n + more, 20)
    assert change(own, BROKER, "1", ("num.io.threads", None)) == 0
    wait_until(lambda: threads(own, "worker-") == 8 + more, 20)


def test_values_come_from_files_and_the_environment(brokers, kind, tmp_path):
    (tmp_path / "values").write_text("io = 11\nrack: r\u00e4ck \\u20ac\n", encoding="utf-8")
    (tmp_path / "threads").write_text("4\n")
    provider = "org.apache.kafka.common.config.provider"
    b = brokers(kind, config={
        "config.providers": "f,d,e", "config.providers.f.class": f"{provider}.FileConfigProvider",
        "config.providers.d.class": f"{provider}.DirectoryConfigProvider", "config.providers.e.class": f"{provider}.EnvVarConfigProvider",
        "num.io.threads": f"${{f:{tmp_path}/values:io}}", "broker.rack": f"${{f:{tmp_path}/values:rack}}", "background.threads": f"${{d:{tmp_path}:threads}}",
        "log.roll.hours": "${e:OTTLA_TEST_HOURS}", "num.partitions": 3, "of.a.plugin": "${f:/none}"})
    os.environ["OTTLA_TEST_HOURS"] = "7"
    try:
        b.start()
    finally:
        del os.environ["OTTLA_TEST_HOURS"]
    rows = describe(b, BROKER, str(b.id))
    assert [rows[k]["Value"] for k in ("num.io.threads", "broker.rack", "background.threads", "log.roll.hours")] == ["11", "r\u00e4ck \u20ac", "4", "7"]
    assert rows["config.providers.f.class"]["Value"] is None        # an unknown name, for all DescribeConfigs knows


def test_dynamic_numbers_of_threads_are_those_of_the_next_start(brokers, kind):
    b = brokers(kind, config={"num.network.threads": 2, "num.io.threads": 4}).start()
    workers = threads(b, "worker-")
    assert change(b, BROKER, str(b.id), ("num.network.threads", "3"), ("num.io.threads", "6")) == 0
    b.restart()
    if kind == "ottla":
        assert threads(b, "net-") == 3 and threads(b, "worker-") == workers + 2
    assert describe(b, BROKER, str(b.id), ["num.network.threads"])["num.network.threads"]["Value"] == "3"


# ---- listeners ----------------------------------------------------------------------------------------------------------------------------
def registration(zk, b):
    with zk.session(chroot_of(b)) as k:
        return json.loads(k.get(f"/brokers/ids/{b.id}")[0])


def answers(port):
    try:
        with wire.Connection("127.0.0.1", port, 5) as c:
            return c.call("ApiVersions", 0, {})["ErrorCode"] == 0
    except (OSError, wire.Closed):
        return False


def test_listeners_are_added_and_removed_while_the_broker_runs(own, zk):
    port = free_port()
    listeners = f"PLAINTEXT://127.0.0.1:{own.port},OTHER://127.0.0.1:{port},ANY://127.0.0.1:0"
    protocols = "PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT,ANY:PLAINTEXT"
    before = registration(zk, own)
    assert change(own, BROKER, "", ("listeners", listeners)) == 42                  # not for all brokers
    assert change(own, BROKER, "1", ("listeners", listeners)) == 42                 # no protocol for OTHER
    assert change(own, BROKER, "1", ("listeners", f"OTHER://127.0.0.1:{port}"), ("listener.security.protocol.map", protocols)) == 42
    assert change(own, BROKER, "1", ("listeners", listeners), ("listener.security.protocol.map", protocols)) == 0
    wait_until(lambda: answers(port), 20)
    after = wait_until(lambda: (r := registration(zk, own)) and len(r["endpoints"]) == 3 and r, 20)
    any_port = next(int(e.rsplit(":", 1)[1]) for e in after["endpoints"] if e.startswith("ANY://"))
    assert any_port > 0 and answers(any_port)
    assert after["listener_security_protocol_map"] == {"PLAINTEXT": "PLAINTEXT", "OTHER": "PLAINTEXT", "ANY": "PLAINTEXT"}
    assert after["endpoints"][:2] == [f"PLAINTEXT://127.0.0.1:{own.port}", f"OTHER://127.0.0.1:{port}"]
    with wire.Connection("127.0.0.1", port, 20) as c:          # whoever came there is told of addresses of that name
        assert wait_until(lambda: [(n["Host"], n["Port"]) for n in c.call("Metadata", 1, {"Topics": []})["Brokers"]] == [("127.0.0.1", port)], 20)
        assert change(own, BROKER, "1", ("listeners", None), ("listener.security.protocol.map", None)) == 0
        assert c.closed_within(20)
    wait_until(lambda: not answers(port) and not answers(any_port), 20)
    wait_until(lambda: registration(zk, own)["endpoints"] == before["endpoints"], 20)
    assert answers(own.port)


# ---- passwords ----------------------------------------------------------------------------------------------------------------------------
SECRET = "listener.name.plaintext.ssl.key.password"


def node(zk, b, name="1"):
    with zk.session(chroot_of(b)) as k:
        path = f"/config/brokers/{name}"
        return json.loads(k.get(path)[0])["config"] if k.exists(path) else {}


def test_a_password_is_never_seen(own, zk, changed):
    changed(BROKER, "1", (SECRET, "hunter2"))
    stored = node(zk, own)[SECRET]
    assert "hunter2" not in stored and {p.partition(":")[0] for p in stored.split(",")} == {
        "initializationVector", "keyLength", "salt", "keyFactoryAlgorithm", "cipherAlgorithm", "iterations", "passwordLength", "encryptedPassword"}
    row = wait_until(lambda: describe(own, BROKER, "1", [SECRET]).get(SECRET), 20)
    assert row["Value"] is None and row["IsSensitive"] and all(s["Value"] is None for s in row["Synonyms"])
    assert "hunter2" not in own.text()


def test_a_password_cannot_be_kept_without_a_secret(broker):
    assert change(broker, BROKER, "1", (SECRET, "hunter2")) == 40
    assert change(broker, BROKER, "1", (SECRET, "hunter2"), validate=True) == 0
    assert describe(broker, BROKER, "1", [SECRET]) == {}


@pytest.mark.only("ottla")
def test_java_and_we_read_each_others_passwords_and_those_of_the_old_secret(brokers, zk):
    """Ottla writes, Java reads and writes, Ottla reads and encodes anew, Java reads that.  (Java itself encodes anew only beside another broker:
    a start without a controller fails, "Cannot set entity configs".)"""
    other = "listener.name.plaintext.ssl.keystore.password"
    b = brokers("ottla", config={"password.encoder.secret": "one", "password.encoder.cipher.algorithm": "AES/GCM/NoPadding"})
    texts = []
    for kind, secrets in (("ottla", {"secret": "one"}), ("java", {"secret": "one"}), ("ottla", {"secret": "two", "old.secret": "one"}), ("java", {"secret": "two"})):
        if b.process:
            b.stop()
            b = brokers.adopt(b.as_kind(kind))
        b.config = {**{k: v for k, v in b.config.items() if "secret" not in k}, **{f"password.encoder.{k}": v for k, v in secrets.items()}}
        b.start()
        if not texts:
            assert change(b, BROKER, str(b.id), (SECRET, "hunter2 \u00fc"), (other, "x")) == 0
        for name in (SECRET, other):
            row = wait_until(lambda: describe(b, BROKER, str(b.id), [name]).get(name), 20, f"{kind} to read {name}")
            assert row["ConfigSource"] == 2 and row["IsSensitive"]
        if len(texts) == 1:
            assert change(b, BROKER, str(b.id), (other, "y")) == 0
        texts.append(wait_until(lambda: (x := node(zk, b, str(b.id))[SECRET]) not in texts and x, 20) if len(texts) < 3 else node(zk, b, str(b.id))[SECRET])
        assert "could not be decoded, ignoring" not in b.text() and "cannot be decoded" not in b.text()
    b.stop()
    assert len(set(texts)) == 3


# ---- effects that only the files show ---------------------------------------------------------------------------------------------------
LAYOUTS = {
    "plain": {},
    "dense": {"index.interval.bytes": 1},
    "full": {"index.interval.bytes": 1, "segment.index.bytes": 40},
    "room": {"preallocate": "true", "segment.bytes": 3000},
}


def sizes(b, t):
    return {p.name: p.stat().st_size for p in b.partition_dir(t).iterdir() if p.suffix in (".log", ".index", ".timeindex")}


def test_index_settings_and_preallocation_shape_the_files_as_javas_do(two):
    shapes = {}
    for words, config in LAYOUTS.items():
        t = f"shaped.{words}"
        for b in two:
            create(b, t, config)
            for i in range(20):
                wait_until(lambda: put(b, t, records.batch([b"%d" % i * 100], first_ts=1_700_000_000_000 + i)) == 0, 20)
        java, ours = (sizes(b, t) for b in two)
        assert ours == java, f"{words}: {difference(ours, java)}"
        shapes[words] = ours
    bases = {w: sorted(n for n in s if n.endswith(".log")) for w, s in shapes.items()}
    assert len(bases["plain"]) == len(bases["dense"]) == 1 < len(bases["room"]) < len(bases["full"]), bases
    assert shapes["room"][bases["room"][-1]] == 3000 > shapes["room"][bases["room"][0]], shapes["room"]
    assert 0 < shapes["full"][bases["full"][0].replace(".log", ".index")] <= 40
    for b in two:       # closed, the indexes show what is in them
        change(b, TOPIC, "shaped.dense", ("segment.bytes", "300"))
        def rolled():
            put(b, "shaped.dense", records.batch([b"x" * 90], first_ts=1_700_000_000_100))
            return len(sizes(b, "shaped.dense")) > 3
        wait_until(rolled, 20)
    for b in two:
        first = b.partition_dir("shaped.dense") / "00000000000000000000.log"
        n = len(records.batches(first.read_bytes()))
        assert n >= 20 and first.with_suffix(".index").stat().st_size == (n - 1) * 8, b.kind


def recovery_point(b, t):
    lines = (b.data / "recovery-point-offset-checkpoint").read_text().splitlines()[2:]
    return next((int(row.split()[2]) for row in lines if row.split()[0] == t), None)


def test_flush_settings_move_the_recovery_point_as_javas_do(two):
    """What is flushed need not be looked at after a crash.  Without a flush.ms of the topic's it is log.flush.scheduler.interval.ms, as in Java."""
    for b in two:
        for t, config in (("flushed.never", {}), ("flushed.each", {"flush.messages": 1}), ("flushed.often", {"flush.messages": 5}), ("flushed.soon", {"flush.ms": 10})):
            create(b, t, {"flush.ms": 10 ** 15, **config})
            for i in range(7):
                wait_until(lambda: put(b, t, records.batch([b"%d" % i])) == 0, 20)
        # ours stays a record below the end of the active segment: a roll there would make its indexes believed that were not trimmed yet
        end = 7 if b.kind == "java" else 6
        wait_until(lambda: recovery_point(b, "flushed.soon") == end and recovery_point(b, "flushed.each") == end, 20, f"the recovery points of {b.kind}")
        assert (recovery_point(b, "flushed.often"), recovery_point(b, "flushed.never")) == (5, 0), b.kind
        for t in ("flushed.never", "flushed.each", "flushed.often", "flushed.soon"):
            with b.connect() as c:
                c.call("DeleteTopics", 4, {"TopicNames": [t], "TimeoutMs": 10000})


# ---- what is wrong ------------------------------------------------------------------------------------------------------------------------
def test_wrong_settings_in_zookeeper_are_named_and_the_rest_counts(brokers, kind, zk):
    b = brokers(kind)
    with zk.session() as k:
        k.ensure_path(f"{chroot_of(b)}/config/brokers")
        k.create(f"{chroot_of(b)}/config/brokers/{b.id}", json.dumps({"version": 1, "config": {
            "num.io.threads": "many", "log.dirs": "/elsewhere", "log.retention.ms": "77777", "of.a.plugin": "x", SECRET: "never encoded"}}).encode())
        k.create(f"{chroot_of(b)}/config/brokers/<default>", b"{\"version\":1,\"config\":{\"message.max.bytes\":\"-3\",\"log.segment.bytes\":\"9999\"}}")
    b.start()
    rows = describe(b, BROKER, str(b.id))
    assert rows["num.io.threads"]["Value"] == "8" and rows["log.retention.ms"]["Value"] == "77777" and rows["log.segment.bytes"]["Value"] == "9999"
    assert rows["log.dirs"]["Value"] == str(b.data) and rows["message.max.bytes"]["Value"] == "1048588"
    assert rows["of.a.plugin"]["ConfigSource"] == 2 and SECRET not in rows
    for words in ("num.io.threads", "log.dirs", "message.max.bytes", SECRET):
        assert words in b.text(), words
    # what was wrong does not stand in the way of the next change
    assert change(b, BROKER, str(b.id), ("log.retention.ms", "88888")) == 0
    assert "num.io.threads" not in node(zk, b, str(b.id))


def test_a_znode_that_is_no_json_does_not_end_the_start(brokers, kind, zk):
    b = brokers(kind)
    with zk.session() as k:
        k.ensure_path(f"{chroot_of(b)}/config/brokers")
        k.create(f"{chroot_of(b)}/config/brokers/{b.id}", b"[}")
    b.start()
    if kind == "ottla":
        assert f"/config/brokers/{b.id}" in b.text()
    assert change(b, BROKER, str(b.id), ("log.retention.ms", "88888")) == 0
    wait_until(lambda: describe(b, BROKER, str(b.id), ["log.retention.ms"])["log.retention.ms"]["Value"] == "88888", 20)


# ---- the same as Java ---------------------------------------------------------------------------------------------------------------------
STEPS = [
    ("", [("log.retention.ms", "7200000")]),
    ("1", [("log.retention.ms", "3600000"), ("log.roll.ms", "60000")]),
    ("1", [("log.retention.hours", "1")]),
    ("1", [("log.cleanup.policy", APPEND, "compact")]),
    ("1", [("log.cleanup.policy", SUBTRACT, "delete")]),
    ("1", [("log.cleanup.policy", SUBTRACT, "compact")]),
    ("", [("log.cleanup.policy", APPEND, "delete")]),
    ("1", [("of.a.plugin", "x"), ("listener.name.plaintext.of.a.plugin", "y")]),
    ("", [("listener.name.plaintext.of.a.plugin", "y")]),
    ("", [("listener.name.plaintext.max.connections", "100"), ("listener.name.plaintext.max.connection.creation.rate", "50")]),
    ("1", [("listener.name.plaintext.max.connections", "0")]),
    ("1", [("listener.name.nowhere.max.connections", "7")]),
    ("1", [("listener.name.plaintext.max.connections", "77")]),
    ("1", [("listener.name.plaintext.ssl.keystore.location", "/nowhere")]),
    ("1", [("ssl.keystore.location", "/nowhere")]),
    ("1", [(SECRET, "hunter2")]),
    ("1", [("sasl.jaas.config", "x")]),
    ("1", [("my.sasl.jaas.config", "x")]),
    ("", [("my.sasl.jaas.config", "x")]),
    ("", [(SECRET, "hunter2")]),
    ("1", [("max.connections.per.ip", "0")]),
    ("1", [("max.connections.per.ip", "0"), ("max.connections.per.ip.overrides", "127.0.0.1:100")]),
    ("1", [("max.connections.per.ip", None), ("max.connections.per.ip.overrides", "127.0.0.1")]),
    ("1", [("max.connections.per.ip", None), ("max.connections.per.ip.overrides", None)]),
    ("1", [("log.retention.ms", "0")]),
    ("1", [("log.retention.ms", "-1"), ("log.local.retention.ms", "5")]),
    ("1", [("log.local.retention.ms", None)]),
    ("", [("unclean.leader.election.enable", "true"), ("min.insync.replicas", "2")]),
    ("", [("unclean.leader.election.enable", "maybe")]),
    ("", [("compression.gzip.level", "0")]),
    ("", [("compression.gzip.level", "9"), ("compression.zstd.level", "-5"), ("compression.lz4.level", "17")]),
    ("", [("log.message.timestamp.difference.max.ms", "1000")]),
    ("", [("log.message.timestamp.before.max.ms", "2000")]),
    ("", [("log.flush.interval.ms", "50"), ("log.flush.scheduler.interval.ms", "9")]),
    ("", [("log.flush.interval.ms", "50")]),
    ("", [("log.preallocate", "true"), ("log.index.interval.bytes", "0"), ("log.index.size.max.bytes", "3")]),
    ("", [("log.preallocate", "true"), ("log.index.interval.bytes", "0"), ("log.index.size.max.bytes", "4")]),
    ("1", [("log.cleaner.threads", "2"), ("log.cleaner.dedupe.buffer.size", "1000")]),
    ("1", [("log.cleaner.threads", "0")]),
    ("1", [("num.replica.fetchers", "2")]),
    ("1", [("leader.replication.throttled.rate", "1000"), ("follower.replication.throttled.rate", "-1")]),
    ("1", [("leader.replication.throttled.rate", "1000")]),
    ("1", [("advertised.listeners", "PLAINTEXT://0.0.0.0:1")]),
    ("1", [("advertised.listeners", "OTHER://h:1")]),
    ("1", [("producer.id.expiration.ms", "0")]),
    ("1", [("producer.id.expiration.ms", "5000"), ("transaction.partition.verification.enable", "false")]),
    ("1", [("", "x")]),
    ("1", [("log.retention.ms", DELETE, "with a value")]),
    ("2", [("log.retention.ms", "5")]),
    ("one", [("log.retention.ms", "5")]),
]


@pytest.fixture(scope="module")
def two(kind, zk, own, tmp_path_factory):
    other = make_broker("java", tmp_path_factory.mktemp("configs-beside"), f"{zk.address}/configs-beside-{kind}", 1, FILE)
    try:
        yield other.start(), own
    finally:
        other.cleanup()


def seen(k, b, keys):
    """What the znodes and DescribeConfigs say; passwords are encoded differently every time."""
    nodes = {}
    for n in ("1", "<default>"):
        path = f"{chroot_of(b)}/config/brokers/{n}"
        stored = json.loads(k.get(path)[0])["config"] if k.exists(path) else {}
        nodes[n] = {name: "some password" if "encryptedPassword" in v else v for name, v in stored.items()}
    rows = {}
    for n in ("1", ""):
        for name, r in describe(b, BROKER, n, keys if n else None).items():
            rows[f"{n}/{name}"] = {f: r[f] for f in ("Value", "ReadOnly", "ConfigSource", "IsSensitive", "ConfigType", "Synonyms")}
    return normalise(b, {"nodes": nodes, "rows": rows})


def test_settings_of_brokers_change_as_javas_do(two, zk):
    java, ours = two
    wrong = []
    with zk.session() as k:
        for n, (name, rows) in enumerate(STEPS):
            codes = [change(b, BROKER, name, *rows) for b in two]
            if codes[0] != codes[1]:
                wrong.append(f"{n} {name!r} {rows}: Java answers {codes[0]}, we {codes[1]}")
            keys = [r[0] for r in rows]
            try:
                wait_until(lambda: seen(k, ours, keys) == seen(k, java, keys), 2)
            except AssertionError:
                wrong.append(f"{n} {name!r} {rows}: {difference(seen(k, ours, keys), seen(k, java, keys))}")
    assert not wrong, "\n".join(wrong)
    for b in two:
        for name in ("1", ""):
            with b.connect() as c:
                c.call("AlterConfigs", 2, {"ValidateOnly": False, "Resources": [{"ResourceType": BROKER, "ResourceName": name, "Configs": []}]})
    assert [node(zk, b, n) for b in two for n in ("1", "<default>")] == [{}] * 4
    assert "hunter2" not in ours.text()


CONTRADICTIONS = [
    (BROKER, "1", [("log.retention.ms", "1000"), ("log.local.retention.ms", "2000")]),
    (BROKER, "1", [("log.retention.bytes", "1000"), ("log.local.retention.bytes", "2000")]),
    (BROKER, "", [("log.local.retention.bytes", "-1"), ("log.retention.bytes", "5")]),
    (BROKER, "1", [("log.roll.ms", "10"), ("log.roll.jitter.ms", "20")]),
    (BROKER, "1", [("log.segment.bytes", "20"), ("message.max.bytes", "1000000")]),
    (BROKER, "1", [("log.segment.bytes", "13")]),
    (BROKER, "1", [("log.cleaner.min.compaction.lag.ms", "9"), ("log.cleaner.max.compaction.lag.ms", "8")]),
    (BROKER, "1", [("log.cleaner.threads", "2"), ("log.cleaner.dedupe.buffer.size", "2097152")]),
    (BROKER, "1", [("min.insync.replicas", "7")]),
    (BROKER, "1", [("min.insync.replicas", "0")]),
    (BROKER, "", [("log.message.timestamp.before.max.ms", "-1")]),
    (BROKER, "", [("log.message.timestamp.after.max.ms", "0"), ("log.message.timestamp.before.max.ms", "0")]),
    (BROKER, "", [("log.message.timestamp.type", "LogAppendTime"), ("log.message.timestamp.after.max.ms", "5")]),
    (BROKER, "1", [("listeners", "PLAINTEXT://127.0.0.1:1,PLAINTEXT://127.0.0.1:2")]),
    (BROKER, "1", [("listeners", "OTHER://127.0.0.1:1")]),
    (BROKER, "1", [("listeners", "")]),
    (BROKER, "1", [("listener.security.protocol.map", "OTHER:PLAINTEXT")]),
    (BROKER, "1", [("num.io.threads", "17")]),
    (BROKER, "1", [("num.io.threads", "3")]),
    (BROKER, "1", [("background.threads", "0")]),
    (BROKER, "1", [("max.connections.per.ip", "0"), ("max.connections.per.ip.overrides", "")]),
    (TOPIC, "contradicted", [("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "8")]),
    (TOPIC, "contradicted", [("retention.ms", "1000"), ("local.retention.ms", "2000")]),
    (TOPIC, "contradicted", [("retention.bytes", "1000"), ("local.retention.bytes", "2000")]),
    (TOPIC, "contradicted", [("remote.storage.enable", "true")]),
    (TOPIC, "contradicted", [("min.insync.replicas", "7")]),
    (TOPIC, "contradicted", [("segment.bytes", "14"), ("max.message.bytes", "1000000")]),
    (TOPIC, "contradicted", [("segment.ms", "1"), ("segment.jitter.ms", "2")]),
    (TOPIC, "contradicted", [("message.timestamp.type", "LogAppendTime"), ("message.timestamp.before.max.ms", "0")]),
    (TOPIC, "contradicted", [("cleanup.policy", "")]),
    (TOPIC, "contradicted", [("retention.bytes", "1"), ("segment.bytes", "100000")]),
]


def judged(b, resource, name, rows, validate):
    with b.connect() as c:
        r = c.call("IncrementalAlterConfigs", 1, {"ValidateOnly": validate, "Resources": [{"ResourceType": resource, "ResourceName": name, "Configs": [
            {"Name": k, "ConfigOperation": SET, "Value": v} for k, v in rows]}]})["Responses"][0]
        return r["ErrorCode"], r["ErrorMessage"] or ""


def test_settings_that_contradict_each_other_are_refused_as_by_java(two, zk):
    """Asked and done; our words name every setting that Java's name, and one of those that were sent at least.  What Java lets pass passes."""
    wrong, refused = [], 0
    for b in two:
        create(b, "contradicted", {})
    for resource, name, rows in CONTRADICTIONS:
        for validate in (True, False):
            (java, java_says), (ours, we_say) = (judged(b, resource, name, rows, validate) for b in two)
            refused += java != 0
            if ours != java:
                wrong.append(f"{name!r} {rows} validate={validate}: Java answers {java} {java_says!r}, we {ours} {we_say!r}")
            elif ours and not any(k in we_say for k, _ in rows) or any(k in java_says and k not in we_say for k, _ in rows):
                wrong.append(f"{name!r} {rows}: Java says {java_says!r}, we {we_say!r}")
        codes = [change(b, resource, name, *[(k, None) for k, _ in rows]) for b in two]
        if codes != [0, 0]:
            wrong.append(f"{name!r} {rows} back: {codes}")
    assert not wrong, "\n".join(wrong)
    assert refused > 20, refused
    assert [node(zk, b, n) for b in two for n in ("1", "<default>")] == [{}] * 4
