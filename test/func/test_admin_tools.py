# SPDX-License-Identifier: Apache-2.0
"""ottla topic, config and group against brokers of both kinds, beside what Kafka's own tools say."""
import json
import re
import shutil
import socket
import threading
import time

import pytest

from harness import env, java, records
from harness.clients import confluent_produce
from harness.proc import free_port, wait_until
from test_tools import completed, ottla


def on(b, *args, status=0):
    return ottla(*args, "--bootstrap-server", b.address, status=status)


def rows(b, *args, status=0):
    return [json.loads(line) for line in on(b, *args, "--json", status=status).stdout.splitlines()]


# ---- no broker, wrong port --------------------------------------------------------------------------------------------------------------
def test_where_no_broker_answers_the_words_say_what_was_tried():
    port = free_port()
    words = ottla("topic", "list", "--bootstrap-server", f"127.0.0.1:{port}", status=3).stderr
    assert f"127.0.0.1:{port}: Connection refused" in words and "listeners" in words
    assert "no HOST:PORT" in ottla("topic", "list", "--bootstrap-server", "localhost:9x", status=2).stderr
    assert "wants --bootstrap-server HOST:PORT" in ottla("topic", "list", status=2).stderr
    assert "wants TOPIC..." in ottla("topic", "delete", "--bootstrap-server", "127.0.0.1:1", status=2).stderr


@pytest.mark.parametrize("answer, words", [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"), (b"\x15\x03\x03\x00\x02\x02\x50", "TLS"), (b"", "hung up")])
def test_a_port_that_is_no_kafka_is_told(answer, words):
    with socket.create_server(("127.0.0.1", 0)) as s:
        def serve():
            c, _ = s.accept()
            c.recv(1000)
            c.sendall(answer)
            c.close()

        t = threading.Thread(target=serve)
        t.start()
        assert words in ottla("topic", "list", "--bootstrap-server", "127.0.0.1:%d" % s.getsockname()[1], status=3).stderr
        t.join()


def test_a_silent_port_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as s:
        assert "200 ms" in ottla("topic", "list", "--timeout", 200, "--bootstrap-server", "127.0.0.1:%d" % s.getsockname()[1], status=3).stderr


# ---- topics -----------------------------------------------------------------------------------------------------------------------------
def described_by_kafka(b, t):
    text = java.tool("kafka-topics", "--bootstrap-server", b.address, "--describe", "--topic", t).stdout
    head = re.search(r"TopicId: (\S+)\s+PartitionCount: (\d+)\s+ReplicationFactor: (\d+)\s+Configs: ?(\S*)", text)
    parts = re.findall(r"Partition: (\d+)\s+Leader: (\d+)\s+Replicas: (\S+)\s+Isr: (\S+)", text)
    return {"id": head[1], "configs": dict(c.split("=", 1) for c in head[4].split(",") if c),
            "partitions": [(int(p), int(leader), [int(x) for x in r.split(",")], [int(x) for x in i.split(",")]) for p, leader, r, i in parts]}


def test_topics_are_made_described_grown_and_deleted_as_kafka_topics_sees_them(broker, topic):
    t, u = topic(), topic()
    on(broker, "topic", "create", t, "--partitions", 3, "retention.ms=70000", "cleanup.policy=delete", "--dry-run")
    assert t not in [r["topic"] for r in rows(broker, "topic", "list")]
    (made,) = rows(broker, "topic", "create", t, "--partitions", 3, "--replication-factor", 1, "retention.ms=70000", "segment.bytes=1048576")
    assert (made["result"], made["partitions"]) == ("created", 3)
    wait_until(lambda: [r["partitions"] for r in rows(broker, "topic", "list", t)] == [3], 10)
    described = rows(broker, "topic", "describe", t)
    theirs = described_by_kafka(broker, t)
    assert {r["topic_id"] for r in described} == {theirs["id"]}
    assert described[0]["configs"] == theirs["configs"] == {"retention.ms": "70000", "segment.bytes": "1048576"}
    assert [(r["partition"], r["leader"], r["replicas"], r["isr"]) for r in described] == theirs["partitions"]
    text = on(broker, "topic", "describe", t).stdout
    assert f"{t}  id {theirs['id']}  partitions 3  replicas 1  settings " in text and "PARTITION" in text

    assert "TOPIC_ALREADY_EXISTS" in on(broker, "topic", "create", t, status=3).stderr
    assert on(broker, "topic", "create", t, "--if-not-exists").stdout == f"{t}: there already\n"
    assert "INVALID_CONFIG" in on(broker, "topic", "create", u, "retention.ms=soon", status=3).stderr
    assert "INVALID_REPLICATION_FACTOR" in on(broker, "topic", "create", u, "--replication-factor", 3, status=3).stderr
    assert "INVALID_TOPIC_EXCEPTION" in on(broker, "topic", "create", "a/b", status=3).stderr

    on(broker, "topic", "alter", t, "--partitions", 5, "--dry-run")
    assert rows(broker, "topic", "list", t)[0]["partitions"] == 3
    on(broker, "topic", "alter", t, "--partitions", 5)
    wait_until(lambda: rows(broker, "topic", "list", t)[0]["partitions"] == 5, 10)
    assert "INVALID_PARTITIONS" in on(broker, "topic", "alter", t, "--partitions", 2, status=3).stderr

    # A wrong name among right ones changes nothing, and the nearest one is named.
    assert f"there is no topic {t}x; did you mean {t}?" in on(broker, "topic", "delete", t, t + "x", status=3).stderr
    assert f"did you mean {t}?" in on(broker, "topic", "describe", t + "x", status=3).stderr
    assert on(broker, "topic", "delete", t).stdout == f"{t}: deleted\n"
    wait_until(lambda: rows(broker, "topic", "list", t) == [], 10)
    on(broker, "topic", "delete", t, status=3)
    assert on(broker, "topic", "delete", t, "--if-exists").stdout == f"{t}: not there\n"


def test_a_partition_without_leader_is_status_1(brokers, kind, topic):
    """Half of a pair of directories is gone for good: its partition has no leader."""
    b = brokers(kind, config={"log.dirs": None})
    b.config["log.dirs"] = f"{b.directory}/one,{b.directory}/two"
    b.start()
    t = topic(b, partitions=2)
    on(b, "topic", "describe", t)
    b.stop()
    for d in ("one", "two"):
        for p in (0, 1):
            if (b.directory / d / f"{t}-{p}").exists() and p == 1:
                gone = b.directory / d
    shutil.rmtree(gone)
    gone.write_text("no directory")
    b.start()

    def leaderless():
        found = [r for r in map(json.loads, on(b, "topic", "describe", t, "--json", status=1).stdout.splitlines()) if r["leader"] == -1]
        return [r["partition"] for r in found] == [1]

    wait_until(leaderless, 20)
    (listed,) = rows(b, "topic", "list", t)
    assert listed["without_leader"] == 1


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_what_the_cluster_has(broker, topic, shell, tmp_path):
    def offered(line):
        return completed(shell, line.format(broker.address), tmp_path)

    t = topic(broker)
    assert offered(f"ottla topic describe --bootstrap-server {{}} {t[:-1]}") == [t]
    assert offered(f"ottla config alter --bootstrap-server {{}} topic {t[:-1]}") == [t]
    group = f"{t}-group"
    on(broker, "group", "reset", group, "--offset", 0, "--topic", t, "--apply")
    for verb in ("describe", "reset", "delete"):
        assert offered(f"ottla group {verb} --bootstrap-server {{}} {group[:-2]}") == [group]
    assert offered("ottla config describe --bootstrap-server {} broker ") == [str(broker.id), "default"]
    assert offered("ottla topic describe --bootstrap-server 127.0.0.1:1 ") == []


# ---- settings ---------------------------------------------------------------------------------------------------------------------------
def settings_by_kafka(b, *entity):
    text = java.tool("kafka-configs", "--bootstrap-server", b.address, "--describe", *entity).stdout
    return dict(re.findall(r"^  (\S+?)=(.*?) sensitive=", text, re.M))


def test_settings_of_topics_change_one_by_one_as_kafka_configs_sees_them(broker, topic):
    t = topic(broker, config={"retention.ms": 70000, "segment.bytes": 1048576})
    on(broker, "config", "alter", "topic", t, "cleanup.policy+=compact", "retention.ms=80000", "--dry-run")
    assert settings_by_kafka(broker, "--topic", t) == {"retention.ms": "70000", "segment.bytes": "1048576"}
    assert on(broker, "config", "alter", "topic", t, "retention.ms=80000", "follower.replication.throttled.replicas=0:1,0:2").stdout.splitlines() == [
        f"topic {t}: retention.ms altered", f"topic {t}: follower.replication.throttled.replicas altered"]
    own = {"retention.ms": "80000", "segment.bytes": "1048576", "follower.replication.throttled.replicas": "0:1,0:2"}      # the others stay
    assert {r["key"]: r["value"] for r in rows(broker, "config", "describe", "topic", t)} == own == settings_by_kafka(broker, "--topic", t)
    assert {r["key"]: r["value"] for r in rows(broker, "config", "list", "topic") if r["entity"] == t} == own
    on(broker, "config", "alter", "topic", t, "follower.replication.throttled.replicas-=0:1")
    assert rows(broker, "config", "describe", "topic", t, "follower.replication.throttled.replicas")[0]["value"] == "0:2"
    (r,) = rows(broker, "config", "delete", "topic", t, "retention.ms")
    assert (r["result"], r["key"]) == ("deleted", "retention.ms")
    (r,) = rows(broker, "config", "describe", "topic", t, "retention.ms")
    assert (r["value"], r["source"]) == ("604800000", "default")
    assert len(rows(broker, "config", "describe", "--all", "topic", t)) > 25

    assert "did you mean retention.ms?" in on(broker, "config", "describe", "topic", t, "retentoin.ms", status=3).stderr
    words = on(broker, "config", "alter", "topic", t, "retention.mss=1", status=3).stderr
    assert "(INVALID_CONFIG)" in words and "did you mean retention.ms?" in words
    assert "(INVALID_CONFIG)" in on(broker, "config", "alter", "topic", t, "retention.ms=soon", status=3).stderr
    assert f"did you mean {t}?" in on(broker, "config", "alter", "topic", t + "x", "retention.ms=1", status=3).stderr
    assert "KEY=VALUE" in on(broker, "config", "alter", "topic", t, "retention.ms", status=2).stderr
    assert "neither topic nor broker" in on(broker, "config", "describe", "topics", t, status=2).stderr


def test_settings_of_brokers_change_as_kafka_configs_sees_them(brokers, kind):
    b = brokers(kind, config={"log.cleaner.threads": 2}).start()
    on(b, "config", "alter", "broker", "default", "log.retention.ms=7000000")
    on(b, "config", "alter", "broker", b.id, "log.retention.ms=8000000", "message.max.bytes=2000000")
    wait_until(lambda: {r["key"]: (r["value"], r["source"]) for r in rows(b, "config", "describe", "broker", b.id)} ==
               {"log.retention.ms": ("8000000", "broker"), "message.max.bytes": ("2000000", "broker")}, 10)
    assert settings_by_kafka(b, "--broker", b.id) == {"log.retention.ms": "8000000", "message.max.bytes": "2000000"}
    assert {r["key"]: r["value"] for r in rows(b, "config", "describe", "broker", "default")} == {"log.retention.ms": "7000000"}
    assert [(r["entity"], r["key"]) for r in rows(b, "config", "list", "broker")] == [
        ("default", "log.retention.ms"), (str(b.id), "log.retention.ms"), (str(b.id), "message.max.bytes")]
    on(b, "config", "delete", "broker", b.id, "log.retention.ms")
    wait_until(lambda: [r["source"] for r in rows(b, "config", "describe", "broker", b.id, "log.retention.ms")] == ["all brokers"], 10)
    assert rows(b, "config", "describe", "broker", b.id, "log.cleaner.threads")[0]["source"] == "file"
    assert "(INVALID_REQUEST)" in on(b, "config", "alter", "broker", b.id, "broker.id=7", status=3).stderr
    assert "no broker 77" in on(b, "config", "describe", "broker", 77, status=3).stderr
    assert "no broker id" in on(b, "config", "describe", "broker", "all", status=2).stderr


# ---- groups -----------------------------------------------------------------------------------------------------------------------------
def consume(b, group, topic, n, **options):
    from confluent_kafka import Consumer
    c = Consumer({"bootstrap.servers": b.address, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                  "broker.address.family": "v4", **options})
    c.subscribe([topic])
    got = []
    while len(got) < n:
        more = c.consume(n - len(got), timeout=30)
        assert more, f"{len(got)} of {n} within 30 s"
        got += more
    c.commit(asynchronous=False)
    return c


def groups_by_kafka(b, group):
    text = java.tool("kafka-consumer-groups", "--bootstrap-server", b.address, "--describe", "--group", group).stdout
    number = lambda s: -1 if s == "-" else int(s)       # noqa: E731
    return {(r[0], int(r[1])): tuple(map(number, r[2:5])) + (r[5],) for r in
            re.findall(rf"^{group}\s+(\S+)\s+(\d+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)", text, re.M)}


def lags(b, group, status=0):
    return {(r["topic"], r["partition"]): (r["committed"], r["high_watermark"], r["lag"], r["member"] or "-")
            for r in rows(b, "group", "describe", group, status=status) if r["type"] == "partition"}


def test_groups_are_described_reset_and_deleted_as_kafka_consumer_groups_sees_them(broker, topic):
    t, group = topic(broker, partitions=2), topic() + "-group"
    confluent_produce(broker, t, [b"%d" % i for i in range(100)], "lz4")
    c = consume(broker, group, t, 40, **{"client.id": "counter"})
    try:
        live = rows(broker, "group", "describe", group)
        assert lags(broker, group) == groups_by_kafka(broker, group)
        assert [(r["state"], r["members"]) for r in live if r["type"] == "group"] == [("Stable", 1)]
        assert [r["client_id"] for r in live if r["type"] == "member"] == ["counter"]
        behind = {r["partition"]: r for r in live if r["type"] == "partition"}
        assert (behind[0]["lag"], behind[0]["stable_lag"]) == (60, 60) and 0 <= behind[0]["time_lag_ms"] < 600000
        assert "TIME-LAG" in on(broker, "group", "describe", group).stdout
        assert [(r["state"], r["coordinator"]) for r in rows(broker, "group", "list", group)] == [("Stable", broker.id)]
        assert "has members" in on(broker, "group", "reset", group, "--earliest", "--apply", status=3).stderr
        assert "(NON_EMPTY_GROUP)" in on(broker, "group", "delete", group, status=3).stderr
        assert "(GROUP_SUBSCRIBED_TO_TOPIC)" in on(broker, "group", "delete", group, "--topic", t, status=3).stderr
    finally:
        c.close()
    wait_until(lambda: [r["state"] for r in rows(broker, "group", "list", group)] == ["Empty"], 30)

    # Nothing is written without --apply.
    dry = on(broker, "group", "reset", group, "--earliest")
    assert "Nothing was written" in dry.stderr and lags(broker, group)[t, 0][0] == 40
    (r,) = rows(broker, "group", "reset", group, "--earliest", "--topic", t, "--partition", 0, "--apply")
    assert (r["from"], r["to"], r["done"]) == (40, 0, True)
    for how, to in ((("--offset", 70), 70), (("--shift", -5), 65), (("--shift", 1000), 100), (("--time", 0), 0), (("--latest",), 100), (("--time", "2099-01-01T00:00:00Z"), 100)):
        on(broker, "group", "reset", group, *how, "--topic", t, "--partition", 0, "--apply")
        assert lags(broker, group)[t, 0][0] == to, how
    assert "100 is taken for 500" in on(broker, "group", "reset", group, "--offset", 500, "--topic", t, "--partition", 0).stderr
    assert groups_by_kafka(broker, group)[t, 0][:3] == (100, 100, 0)
    behind = [r for r in rows(broker, "group", "describe", group) if r["type"] == "partition" and r["partition"] == 0]
    assert (behind[0]["lag"], behind[0]["time_lag_ms"]) == (0, 0)
    assert "wants one of" in on(broker, "group", "reset", group, status=2).stderr
    assert f"did you mean {t}?" in on(broker, "group", "reset", group, "--latest", "--topic", t + "x", status=3).stderr

    assert f"did you mean {group}?" in on(broker, "group", "describe", group + "x", status=3).stderr
    assert on(broker, "group", "delete", group, "--topic", t).stdout == f"{group}, offsets of {t}: deleted\n"
    assert "has committed nothing" in on(broker, "group", "delete", group, "--topic", t, status=3).stderr
    # A group that is not there begins where it is told.
    fresh = group + "-fresh"
    on(broker, "group", "reset", fresh, "--offset", 3, "--topic", t, "--partition", 0, "--apply")
    assert lags(broker, fresh) == groups_by_kafka(broker, fresh) == {(t, 0): (3, 100, 97, "-")}
    assert on(broker, "group", "delete", fresh).stdout == f"{fresh}: deleted\n"
    assert "there is no group" in on(broker, "group", "delete", fresh, status=3).stderr


def iso(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03}Z"


def put_aged(broker, t, *ages):
    """A batch of ten records of each age in ms.  -> now"""
    now = int(time.time() * 1000)
    with broker.connect() as c:
        for age in ages:
            a = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [{"Name": t, "PartitionData": [
                {"Index": 0, "Records": records.batch([b"%d" % i for i in range(10)], first_ts=now - age)}]}]})
            assert a["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0
    return now


def test_every_way_to_reset_offsets_leads_where_kafka_consumer_groups_says(broker, topic, tmp_path):
    """Of kafka-consumer-groups all of them, dry and executed; of ottla group reset those it has, and to the same place."""
    t, group = topic(broker), topic() + "-group"
    now = put_aged(broker, t, 5_000_000, 1_000_000)
    good, far = tmp_path / "good.csv", tmp_path / "far.csv"
    good.write_text(f"{t},0,7\n")
    far.write_text(f"{t},0,500\n")
    between, future = now - 3_000_000, now + 86_400_000
    ways = [    # of Kafka's, of ours, where to; 12 is committed
        (f"--topic {t} --to-offset 5", ("--offset", 5), 5),
        (f"--topic {t} --to-offset 500", ("--offset", 500), 20),
        (f"--topic {t} --shift-by 5", ("--shift", 5), 17),
        (f"--topic {t} --shift-by -5", ("--shift", -5), 7),
        (f"--topic {t} --shift-by 100", ("--shift", 100), 20),
        (f"--topic {t} --shift-by -100", ("--shift", -100), 0),
        (f"--topic {t} --to-earliest", ("--earliest",), 0),
        (f"--topic {t} --to-latest", ("--latest",), 20),
        (f"--topic {t} --to-datetime {iso(between)}", ("--time", iso(between)), 10),
        (f"--topic {t} --to-datetime {iso(now - 1_000_000)}", ("--time", iso(now - 1_000_000)), 10),
        (f"--topic {t} --to-datetime {iso(now - 999_997)}", ("--time", iso(now - 999_997)), 20),
        (f"--topic {t} --to-datetime {iso(0)}", ("--time", iso(0)), 0),
        (f"--topic {t} --to-datetime {iso(future)}", ("--time", iso(future)), 20),
        (f"--topic {t} --by-duration PT50M", None, 10),
        (f"--topic {t} --by-duration P1D", None, 0),
        (f"--topic {t} --by-duration PT0S", None, 20),
        (f"--topic {t}:0 --to-current", None, 12),
        ("--all-topics --to-earliest", ("--earliest",), 0),
        (f"--from-file {good}", None, 7),
        (f"--from-file {far}", None, 20),
    ]
    base = f"--bootstrap-server {broker.address} --group {group} --reset-offsets"
    first, export = f"{base} --topic {t} --to-offset 12 --execute", f"{base} --topic {t} --to-datetime {iso(between)} --export --dry-run"
    said = dict(part.split("\n", 1) for part in java.program("ConsumerGroups", first, *(f"{base} {kafka} --dry-run" for kafka, _, _ in ways), export)
                .split("\n> ")[1:])
    planned = rf"{group}\s+{t}\s+0\s+(\d+)"
    assert re.findall(planned, said[first]) == ["12"], said[first]
    for kafka, mine, to in ways:
        assert re.findall(planned, said[f"{base} {kafka} --dry-run"]) == [str(to)], (kafka, said[f"{base} {kafka} --dry-run"])
        if mine:
            (row,) = rows(broker, "group", "reset", group, *mine, "--topic", t)
            assert (row["from"], row["to"], row["done"]) == (12, to, False), mine
    assert [line.replace('"', "") for line in said[export].split()] == [f"{t},0,10"], said[export]
    for bad in (".5", ".2500", ".25x", ".", "z", "+01:00"):
        assert "neither milliseconds" in on(broker, "group", "reset", group, "--topic", t, "--time", "2026-11-28T10:00:00" + bad, status=3).stderr
    # What was planned is what is done.
    java.program("ConsumerGroups", *(f"{base} {how} --execute" for how in (f"--from-file {good}", f"--topic {t} --shift-by 2", f"--topic {t} --by-duration PT50M")))
    assert lags(broker, group)[t, 0][0] == 10
    java.program("ConsumerGroups", f"{base} --topic {t} --to-datetime {iso(0)} --execute")
    assert lags(broker, group)[t, 0][0] == 0


def test_time_lag_is_the_age_of_the_next_record(broker, topic):
    """Of the first one that is not read yet and still there; none at the end."""
    t, group = topic(broker, config={"retention.ms": -1}), topic() + "-group"
    now = put_aged(broker, t, 500_000, 100_000)

    def lag(offset=None):
        if offset is not None:
            on(broker, "group", "reset", group, "--offset", offset, "--topic", t, "--apply")
        (r,) = [r for r in rows(broker, "group", "describe", group) if r["type"] == "partition"]
        return r["lag"], r["time_lag_ms"]

    for offset, age in ((0, 500_000), (9, 500_000), (10, 100_000), (19, 100_000)):
        behind, ms = lag(offset)
        assert behind == 20 - offset and age - 100 <= ms < age + 90_000, (offset, ms)
    assert lag(20) == (0, 0)
    lag(3)
    with broker.connect() as c:
        a = c.call("DeleteRecords", 1, {"Topics": [{"Name": t, "Partitions": [{"PartitionIndex": 0, "Offset": 15}]}], "TimeoutMs": 5000})
        assert a["Topics"][0]["Partitions"][0]["ErrorCode"] == 0
    behind, ms = lag()
    assert behind == 17 and 100_000 - 100 <= ms < 100_000 + 90_000


def test_time_lag_is_known_of_every_partition_whatever_the_size_of_its_batches(broker, topic):
    """Many are asked at once, and of those after the first a broker leaves out what is larger than its limit."""
    sizes = [10, 70_000, 900_000, 300_000] * 10
    t, group = topic(broker, partitions=len(sizes), config={"retention.ms": -1}), topic() + "-group"
    ages = {n: 1_000_000 + n for n in set(sizes)}
    batches = {n: records.batch([bytes(n)], first_ts=int(time.time() * 1000) - age) for n, age in ages.items()}
    with broker.connect() as c:
        a = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 30000, "TopicData": [{"Name": t, "PartitionData": [
            {"Index": p, "Records": batches[n]} for p, n in enumerate(sizes)]}]})
        assert not any(p["ErrorCode"] for p in a["Responses"][0]["PartitionResponses"])
    on(broker, "group", "reset", group, "--earliest", "--topic", t, "--apply")
    found = [r for r in rows(broker, "group", "describe", group) if r["type"] == "partition"]
    assert [r["partition"] for r in found if not ages[sizes[r["partition"]]] - 100 <= r["time_lag_ms"] < ages[sizes[r["partition"]]] + 90_000] == []
    assert len(found) == len(sizes)


def test_an_open_transaction_is_in_the_lag_but_not_in_the_stable_lag(brokers, kind, topic):
    """A Java broker begins it, since there is no coordinator of transactions here yet; whoever serves the directory then says how far it goes."""
    from confluent_kafka import Producer
    b = brokers("java", config={"transaction.state.log.num.partitions": 1, "zookeeper.session.timeout.ms": 4000}).start()
    t, group = topic(b), topic() + "-group"
    confluent_produce(b, t, [b"x"] * 10)
    p = Producer({"bootstrap.servers": b.address, "transactional.id": t, "transaction.timeout.ms": 600000, "broker.address.family": "v4"})
    p.init_transactions(60)
    p.begin_transaction()
    for _ in range(5):
        p.produce(t, b"y", partition=0)
    assert p.flush(30) == 0
    if kind != "java":
        b.kill9()
        b = brokers.adopt(b.as_kind(kind)).start()
    on(b, "group", "reset", group, "--offset", 2, "--topic", t, "--apply")

    def lag():
        (r,) = [r for r in rows(b, "group", "describe", group) if r["type"] == "partition"]
        return r["high_watermark"], r["last_stable"], r["lag"], r["stable_lag"]

    wait_until(lambda: lag() == (15, 10, 13, 8), 10)
    if kind == "java":
        p.commit_transaction(60)
        wait_until(lambda: lag() == (16, 16, 14, 14), 30)
