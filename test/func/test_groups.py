# SPDX-License-Identifier: Apache-2.0
"""Groups and committed offsets: what applications build on.  Real clients of every kind, members made of bytes where there are many or odd ones."""
import json
import re
import select
import signal
import socket
import subprocess
import time

import pytest

from harness import env, java, wire
from harness.clients import confluent_produce, produce
from harness.groups import (FENCED, ILLEGAL_GENERATION, NONE, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, Member, committed, described, partition_of, ready, together,
                            wait_stable)
from harness.proc import die_with_parent, free_port, wait_until


def confluent(broker, group, topics, **more):
    from confluent_kafka import Consumer
    c = Consumer({"bootstrap.servers": broker.address, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, "session.timeout.ms": 6000,
                  "heartbeat.interval.ms": 200, "broker.address.family": "v4", "log_level": 0, "topic.metadata.refresh.interval.ms": 1000, **more})
    c.subscribe(topics)
    return c


def read(consumers, n, seconds=40):
    """n values, from whichever; and not one more within a moment."""
    out, end = [], time.monotonic() + seconds
    while len(out) < n and time.monotonic() < end:
        for c in consumers:
            out += [m.value().decode() for m in c.consume(100, 0.05) if m.error() is None]
    assert len(out) >= n, f"{len(out)} of {n}"
    for c in consumers:
        out += [m.value().decode() for m in c.consume(100, 0.2) if m.error() is None]
    return out


# ---- members ----------------------------------------------------------------------------------------------------------------------------
def test_clients_of_five_kinds_share_one_group(broker, topic, group, clients):
    """With an assignor of a shared name; each record goes to one of them, whoever leads."""
    ready(broker)
    t = topic(broker, partitions=10)
    found = [clients(name, broker, group, t) for name in ("confluent", "kafka-python", "aiokafka", "kafkajs", "java")]
    shares = wait_stable(broker, group, 5, 10)
    assert sorted(len(s) for s in shares) == [2] * 5
    sent = produce(broker, t, 1000, 10)
    wait_until(lambda: sum(len(c.rows) for c in found) >= len(sent), 30, "all records")
    assert sorted(v for c in found for _, _, v in c.rows) == sorted(sent)
    assert all(len({p for p, _, _ in c.rows}) == 2 for c in found), [(c.name, {p for p, _, _ in c.rows}) for c in found]
    # one leaves, one dies: the others take over, and nothing is lost
    found.pop(0).end()
    found.pop(0).kill9()
    wait_stable(broker, group, 3, 10)
    more = produce(broker, t, 1000, 10, first=1000)
    wait_until(lambda: {v for c in found for _, _, v in c.rows} >= {*more}, 30, "all records")
    for c in found:
        c.end()
    wait_until(lambda: described(broker, group)["GroupState"] == "Empty", 20, "the last to leave")


def test_two_hundred_members_join_at_once(brokers, kind, group, members):
    b = ready(brokers(kind, config={"group.initial.rebalance.delay.ms": 1500}).start())
    # version 3 joins at once; 9 asks for an id first
    crowd = [members(group, where=b, version=v, session=60000, rebalance=60000) for v in (3, 9) for _ in range(100)]
    began = time.monotonic()
    together(crowd)
    print(f"{time.monotonic() - began:.1f} s")
    assert len({m.id for m in crowd}) == 200
    assert all(m.heartbeat() == NONE for m in crowd)
    d = described(b, group)
    assert d["GroupState"] == "Stable" and {m["MemberId"] for m in d["Members"]} == {m.id for m in crowd}
    assert all(m["MemberAssignment"] == f"share of {m['MemberId']}".encode() and m["ClientHost"] == "/127.0.0.1" for m in d["Members"])
    generation = crowd[0].generation
    for m in crowd[100:]:
        assert m.leave() == NONE
    rest = crowd[:100]
    assert all(m.heartbeat() == REBALANCE_IN_PROGRESS for m in rest)
    together(rest)
    assert rest[0].generation > generation


def test_a_static_member_restarts_without_a_rebalance(broker, group, members):
    ready(broker, group)
    one, two = members(group, instance="one"), members(group, instance="two")
    assert one.join()["ErrorCode"] == NONE
    one.sync([(one.id, b"")])
    two.send_join()
    wait_until(lambda: one.heartbeat() == REBALANCE_IN_PROGRESS, 10)
    one.send_join()
    for m in (one, two):
        assert m.receive_join()["ErrorCode"] == NONE
    leader, follower = (one, two) if one.leads() else (two, one)
    follower.send_sync()
    leader.send_sync([(one.id, b"of one"), (two.id, b"of two")])
    assert (one.receive_sync()["Assignment"], two.receive_sync()["Assignment"]) == (b"of one", b"of two")
    generation = one.generation

    again = members(group, instance=follower.instance)      # the follower comes back without its member id
    a = again.join()
    assert (a["ErrorCode"], a["GenerationId"]) == (NONE, generation) and again.id != follower.id
    assert again.sync()["Assignment"] == f"of {follower.instance}".encode()
    assert leader.heartbeat() == NONE, "nobody else has noticed"
    assert follower.heartbeat() == FENCED and follower.join()["ErrorCode"] == FENCED and follower.commit("t", 0, 1) in (FENCED, 3)
    old = leader.id
    back = members(group, instance=leader.instance)         # the leader, too; since version 9 it is told not to assign anew
    a = back.join()
    assert (a["ErrorCode"], a["GenerationId"], a["SkipAssignment"]) == (NONE, generation, True), a
    assert back.id != old and again.heartbeat() == NONE
    assert {m["GroupInstanceId"] for m in described(broker, group)["Members"]} == {"one", "two"}
    # an administrator removes it by its name
    with broker.connect() as c:
        rows = c.call("LeaveGroup", 4, {"GroupId": group, "Members": [{"MemberId": "", "GroupInstanceId": leader.instance}, {"MemberId": "", "GroupInstanceId": "three"}]})["Members"]
    assert [r["ErrorCode"] for r in rows] == [NONE, UNKNOWN_MEMBER_ID]
    assert again.heartbeat() == REBALANCE_IN_PROGRESS and back.heartbeat() == UNKNOWN_MEMBER_ID


def test_a_static_client_that_is_killed_comes_back_to_its_partitions(broker, topic, group, clients):
    ready(broker, group)
    t = topic(broker, partitions=4)
    other, gone = clients("confluent", broker, group, t, static="other"), clients("confluent", broker, group, t, static="gone", every=1)
    wait_stable(broker, group, 2, 4)
    sent = produce(broker, t, 40, 4)
    wait_until(lambda: len(other.rows) + len(gone.rows) == 40, 30)
    before = {m["GroupInstanceId"]: (m["MemberId"], m["MemberAssignment"]) for m in described(broker, group)["Members"]}
    gone.kill9()
    back = clients("confluent", broker, group, t, static="gone", every=1)
    more = produce(broker, t, 40, 4, first=40)
    wait_until(lambda: {v for c in (other, gone, back) for _, _, v in c.rows} >= {*sent, *more}, 30)
    after = {m["GroupInstanceId"]: (m["MemberId"], m["MemberAssignment"]) for m in described(broker, group)["Members"]}
    assert after["other"] == before["other"] and after["gone"][1] == before["gone"][1] and after["gone"][0] != before["gone"][0]
    assert {p for p, _, _ in back.rows} <= {p for p, _, _ in gone.rows}


def test_cooperative_members_keep_what_they_have_while_others_come(broker, topic, group):
    ready(broker, group)
    t = topic(broker, partitions=6)
    lost, how = [], {"partition.assignment.strategy": "cooperative-sticky"}
    first = confluent(broker, group, [t], **how)
    first.subscribe([t], on_revoke=lambda c, p: lost.extend(x.partition for x in p), on_assign=lambda c, p: c.incremental_assign(p))
    sent = produce(broker, t, 60, 6)
    try:
        assert sorted(read([first], 60)) == sorted(sent)
        second = confluent(broker, group, [t], **how)
        try:
            wait_until(lambda: (first.consume(10, 0.05), second.consume(10, 0.05)) and len(second.assignment()) == 3 and len(first.assignment()) == 3, 30)
            assert len(lost) == 3, "it gave away what it had to, and no more"
        finally:
            second.close()
    finally:
        first.close()


# ---- publish/subscribe, queue -----------------------------------------------------------------------------------------------------------
def test_groups_each_see_everything_and_members_of_one_share_it(broker, topic, group):
    ready(broker, group)
    t = topic(broker, partitions=3)
    queue = [confluent(broker, f"{group}-queue", [t]) for _ in range(3)]
    # Who reads before the others have come reads what they will read again: nothing is committed yet.
    wait_until(lambda: [c.poll(0.05) for c in queue] and all(len(c.assignment()) == 1 for c in queue), 30, "a partition for each")
    early = produce(broker, t, 90, 3)
    readers = [confluent(broker, f"{group}-{i}", [t]) for i in range(3)]
    late = confluent(broker, f"{group}-late", [t], **{"auto.offset.reset": "latest"})
    try:
        for c in readers:
            assert sorted(read([c], 90)) == sorted(early)
        assert sorted(read(queue, 90)) == sorted(early)
        marked, marks = set(), 0
        while len(marked) < 3:      # where the end was when it came, nobody can say: from its first record on
            for p in range(3):
                confluent_produce(broker, t, [b"mark"], partition=p)
            marks += 3
            got = [m for m in late.consume(100, 0.3) if m.error() is None]
            assert {m.value() for m in got} <= {b"mark"}, "who begins at the end sees nothing of before"
            marked |= {m.partition() for m in got}
            assert marks < 300
        more = produce(broker, t, 90, 3, first=90)
        for c in readers:
            assert sorted(read([c], 90 + marks)) == sorted([*more, *["mark"] * marks])
        assert sorted(read(queue, 90 + marks)) == sorted([*more, *["mark"] * marks])
        got = []
        wait_until(lambda: got.extend(m.value().decode() for m in late.consume(100, 0.1) if m.error() is None) or {*got} >= {*more}, 30)
        assert sorted(v for v in got if v != "mark") == sorted(more)
    finally:
        for c in [*readers, *queue, late]:
            c.close()


# ---- what a crash leaves ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["confluent", "kafka-python", "aiokafka"])
def test_a_killed_consumer_sees_its_uncommitted_records_again_and_skips_none(brokers, kind, topic, group, clients, name):
    """Manual commits after every tenth record."""
    broker = ready(brokers(kind, config={"group.min.session.timeout.ms": 500}).start(), group)      # the next waits for the end of a killed one's session
    t = topic(broker)
    sent = produce(broker, t, 300, 1)
    seen = []
    for kill_at in (15, 60, 130, None):
        c = clients(name, broker, group, t, every=10, slow=0.002, session=2000)
        wait_until(lambda: len(c.rows) >= (kill_at or 1) or {v for _, _, v in c.rows} >= {"299"}, 40, "records")
        if kill_at is None:
            wait_until(lambda: committed(broker, group, t, [0]).get(0) == (300, ""), 30, "the last commit")
        c.kill9()
        seen.append([o for _, o, _ in c.rows])
    for before, after in zip(seen, seen[1:]):
        assert after[0] <= before[-1] + 1, "none is skipped"
        assert after[0] % 10 == 0 and after[0] >= before[-1] + 1 - 20, "it goes on from the last commit"
        assert all(b <= a + 1 for a, b in zip(after, after[1:]))    # (again, when its session ended under it)
    assert seen[0][0] == 0 and {str(o) for r in seen for o in r} == {*sent}


@pytest.fixture
def redis(tmp_path):
    port = free_port()
    p = subprocess.Popen([env.need_command("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
                         stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        wait_until(lambda: redis_ask(port, "PING") == b"+PONG\r\n", 10, "redis")
        yield port
    finally:
        p.kill()
        p.wait()


def redis_ask(port, *words):
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        s.sendall((" ".join(words) + "\r\n").encode())
        return s.recv(1000)


def test_each_record_takes_effect_once_in_a_database_and_in_redis_though_consumers_are_killed(brokers, kind, topic, group, clients, tmp_path, redis):
    import sqlite3
    broker = ready(brokers(kind, config={"group.min.session.timeout.ms": 500}).start(), group)
    t = topic(broker, partitions=2)
    sent = produce(broker, t, 400, 2)
    options = {"every": 25, "slow": 0.003, "session": 2000, "sqlite": str(tmp_path / "db"), "redis": redis}

    def some_came_twice():
        with sqlite3.connect(tmp_path / "db") as db:
            return db.execute("SELECT SUM(times) > COUNT(*) FROM account").fetchone()[0]

    for kills in range(1, 6):       # who is killed right behind a commit leaves nothing to come again: then another one is
        c = clients("confluent", broker, group, t, **options)
        wait_until(lambda: len(c.rows) >= 30, 40, "records")
        c.kill9()
        if kills > 1 and some_came_twice():
            break
    c = clients("confluent", broker, group, t, **options)
    wait_until(lambda: redis_ask(redis, "GET", "total").endswith(b"\r\n400\r\n"), 40, "all records")
    c.kill9()
    with sqlite3.connect(tmp_path / "db") as db:
        assert sorted(v for v, in db.execute("SELECT value FROM account")) == sorted(sent)
        assert db.execute("SELECT SUM(times) FROM account").fetchone()[0] > 400
    assert redis_ask(redis, "GET", "total") == b"$3\r\n400\r\n"


@pytest.mark.parametrize("rounds", [pytest.param(2, id="twice"), pytest.param(12, id="long", marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_no_acknowledged_commit_is_lost_and_no_generation_goes_back_though_the_broker_is_killed(brokers, kind, topic, group, members, rng, rounds):
    """During commits and in the middle of rebalances.  Three members by hand; each remembers what was acknowledged to it."""
    b = ready(brokers(kind, config={"zookeeper.session.timeout.ms": 4000, "group.initial.rebalance.delay.ms": 200,
                                         "group.min.session.timeout.ms": 500}).start(), group)
    t = topic(b, partitions=3)
    acked, generation, offset = {}, 0, 0
    for turn in range(rounds):
        trio = [members(group, where=b, session=3000, rebalance=3000) for _ in range(3)]
        try:
            together(trio)
            assert trio[0].generation > generation, "generations go on"
            generation = trio[0].generation
            for _ in range(rng.randrange(5, 60)):
                offset += 1
                for p, m in enumerate(trio):
                    if m.commit(t, p, offset, f"{turn}") == NONE:
                        acked[p] = (offset, f"{turn}")
            if turn % 2:        # a rebalance is under way when it dies: one joins anew, nobody answers
                members(group, where=b).send_join()
                wait_until(lambda: trio[0].heartbeat() == REBALANCE_IN_PROGRESS, 10)
            for p, m in enumerate(trio):        # commits on the way, whose answers nobody hears
                m.c.send("OffsetCommit", 8, {"GroupId": group, "GenerationIdOrMemberEpoch": m.generation, "MemberId": m.id, "Topics": [
                    {"Name": t, "Partitions": [{"PartitionIndex": p, "CommittedOffset": offset + 1, "CommittedMetadata": f"{turn}"}]}]})
        finally:
            b.kill9()
        b.start()
        ready(b, group)
        found = committed(b, group, t, range(3))
        for p, (o, m) in acked.items():
            assert found[p][0] >= o, f"partition {p}: {o} was acknowledged, {found[p][0]} is there"
        offset = max(o for o, _ in found.values())
        wait_until(lambda: described(b, group)["GroupState"] == "Empty", 30, "the members of before to be forgotten", 0.2)


MOMENTS = ("preparing", "completing", "syncing", "answering")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("turns", [pytest.param(2, id="twice"), pytest.param(10, id="long", marks=pytest.mark.long)])
def test_a_generation_is_what_was_handed_out_though_the_broker_is_killed_in_a_rebalance(brokers, kind, group, members, rng, turns):
    """While members join; when all know the new generation and wait for what the leader assigns; when that is on its way; when the first of them has its share.
    Then the group is as it was, or, and so it must be when anybody was told, as the leader made it."""
    b = ready(brokers(kind, config={"zookeeper.session.timeout.ms": 4000, "group.initial.rebalance.delay.ms": 300}).start(), group)
    trio = [members(group, where=b, session=120000, rebalance=60000) for _ in range(3)]
    together(trio)
    generation, shares, met = trio[0].generation, {m.id: f"share of {m.id}".encode() for m in trio}, set()
    for turn, moment in enumerate(MOMENTS * turns):
        leader = next(m for m in trio if m.leads())
        others = [m for m in trio if m is not leader]
        asked = {m.id: f"{turn} for {m.id}".encode() for m in trio}
        told = []
        leader.send_join()
        for m in others:
            wait_until(lambda: m.heartbeat() == REBALANCE_IN_PROGRESS, 10)
        if moment != "preparing":
            for m in others:
                m.send_join()
            for m in trio:
                assert (m.receive_join()["ErrorCode"], m.generation) == (NONE, generation + 1)
            for m in others:
                m.send_sync()
        if moment == "syncing":
            b.process.signal(signal.SIGSTOP)        # it sleeps when the request comes: awake, it is done before anybody can kill it
            leader.send_sync(asked.items())
            b.process.signal(signal.SIGCONT)
            time.sleep(rng.choice((0, 0, 0.0002)))
        elif moment == "answering":
            leader.send_sync(asked.items())
            select.select([m.c.sock for m in trio], [], [], 30)
        b.kill9()
        for m in trio:
            try:
                a = m.receive_sync() if moment in ("syncing", "answering") else None
            except (wire.Closed, OSError):
                a = None
            if a:
                assert (a["ErrorCode"], a["Assignment"]) == (NONE, asked[m.id])
                told.append(m.id)
            m.close()
        b.start()
        ready(b, group)
        for m in trio:
            m.c = b.connect()
            m.generation = generation + 1
        new = trio[0].heartbeat() == NONE
        assert new or not told, f"{len(told)} knew of generation {generation + 1}"
        assert not new or moment in ("syncing", "answering"), moment
        assert moment != "answering" or told
        met.add((moment, new))
        if new:
            generation, shares = generation + 1, asked
        for m in trio:
            m.generation = generation
        assert [m.heartbeat() for m in trio] == [NONE] * 3
        d = described(b, group)
        assert (d["GroupState"], {m["MemberId"]: m["MemberAssignment"] for m in d["Members"]}) == ("Stable", shares)
        assert [m.sync()["Assignment"] for m in trio] == [shares[m.id] for m in trio]
    print(met)


def test_groups_and_offsets_outlive_a_clean_restart(brokers, kind, topic, group, members):
    """A member that still has time goes on as if nothing had happened."""
    b = ready(brokers(kind).start(), group)
    t = topic(b, partitions=2)
    m = members(group, where=b, session=60000)
    m.join()
    m.sync([(m.id, b"mine")])
    assert m.commit(t, 0, 11, "a") == NONE and m.commit(t, 1, 12) == NONE
    generation = m.generation
    b.restart()
    ready(b, group)
    m.close()
    m.c = b.connect()
    assert m.heartbeat() == NONE and m.generation == generation
    assert m.commit(t, 1, 13, "b") == NONE
    d = described(b, group)
    assert (d["GroupState"], d["ProtocolType"], d["ProtocolData"], [x["MemberAssignment"] for x in d["Members"]]) == ("Stable", "consumer", "range", [b"mine"])
    assert committed(b, group, t, range(2)) == {0: (11, "a"), 1: (13, "b")}


# ---- Java's programs --------------------------------------------------------------------------------------------------------------------
def consumer_groups(b, *args, **kwargs):
    return java.tool("kafka-consumer-groups", "--bootstrap-server", b.address, *args, **kwargs)


def rows_of(text, group):
    """-> {partition: [columns]} of --describe --offsets"""
    return {int(c[2]): c for c in (line.split() for line in text.splitlines()) if c and c[0] == group}


def test_kafka_consumer_groups_with_every_verb(broker, topic, group, tmp_path):
    ready(broker, group)
    t = topic(broker, partitions=2)
    produce(broker, t, 20, 2)
    c = confluent(broker, group, [t], **{"client.id": "reader"})
    read([c], 20)
    c.commit(asynchronous=False)
    # while it runs
    text = consumer_groups(broker, "--describe", "--group", group).stdout
    assert {p: c[3:6] for p, c in rows_of(text, group).items()} == {0: ["10", "10", "0"], 1: ["10", "10", "0"]} and "/127.0.0.1" in text, text
    text = consumer_groups(broker, "--describe", "--members", "--verbose", "--group", group).stdout
    assert re.search(rf"{group}\s+reader-\S+\s+/127.0.0.1\s+reader\s+2\s+(?:{t})?\(0,1\)", text), text
    text = consumer_groups(broker, "--describe", "--state", "--group", group).stdout
    assert re.search(rf"{group}\s+127.0.0.1:{broker.port}\s+\({broker.id}\)\s+range\s+Stable\s+1", text), text
    assert re.search(rf"{group}\s+Stable", consumer_groups(broker, "--list", "--state").stdout)
    done = consumer_groups(broker, "--reset-offsets", "--to-earliest", "--topic", t, "--group", group, "--execute", check=False)
    assert "inactive" in done.stdout + done.stderr
    assert "GroupNotEmptyException" in consumer_groups(broker, "--delete", "--group", group, check=False).stdout
    c.close()
    # while it does not
    wait_until(lambda: described(broker, group)["GroupState"] == "Empty", 20)
    plan = consumer_groups(broker, "--reset-offsets", "--shift-by", "-3", "--topic", f"{t}:0", "--group", group, "--dry-run").stdout
    assert re.search(rf"{group}\s+{t}\s+0\s+7", plan) and committed(broker, group, t, [0]) == {0: (10, "")}
    consumer_groups(broker, "--reset-offsets", "--shift-by", "-3", "--topic", f"{t}:0", "--group", group, "--execute")
    assert {p: o for p, (o, _) in committed(broker, group, t, [0, 1]).items()} == {0: 7, 1: 10}
    csv = tmp_path / "plan.csv"
    csv.write_text(f"{t},0,2\n{t},1,4\n")
    consumer_groups(broker, "--reset-offsets", "--from-file", csv, "--group", group, "--execute")
    assert {p: o for p, (o, _) in committed(broker, group, t, [0, 1]).items()} == {0: 2, 1: 4}
    consumer_groups(broker, "--delete-offsets", "--group", group, "--topic", f"{t}:1")
    assert list(committed(broker, group, t, [0, 1])) == [0]
    consumer_groups(broker, "--delete", "--group", group)
    assert described(broker, group)["GroupState"] == "Dead" and committed(broker, group, t, [0, 1]) == {}
    assert group not in consumer_groups(broker, "--list").stdout.split()


def test_java_verifiable_producer_and_consumer_agree(broker, topic, group, clients):
    ready(broker, group)
    t = topic(broker, partitions=3)
    java.tool("kafka-verifiable-producer", "--bootstrap-server", broker.address, "--topic", t, "--max-messages", 500)
    c = clients("java", broker, group, t)
    wait_until(lambda: len(c.rows) >= 500, 40, "500 records")
    wait_until(lambda: sum(o for o, _ in committed(broker, group, t, range(3)).values()) == 500, 20, "its commits")
    c.end()
    assert sorted(int(v) for _, _, v in c.rows) == list(range(500))


def test_java_consumer_performance_and_end_to_end_latency(broker, topic, group):
    ready(broker, group)
    t = topic(broker, partitions=3)
    produce(broker, t, 3000, 3)
    out = java.tool("kafka-consumer-perf-test", "--bootstrap-server", broker.address, "--topic", t, "--messages", 3000, "--group", group, "--timeout", 20000).stdout
    assert re.search(r", 3000, ", out), out
    out = java.tool("kafka-e2e-latency", broker.address, topic(broker), 200, "all", 100).stdout
    assert "Avg latency" in out and "Percentiles" in out, out


def read_internal(b, group, formatter, n):
    """What Java's formatter prints of the n records of the group's partition."""
    text = java.tool("kafka-console-consumer", "--bootstrap-server", b.address, "--topic", "__consumer_offsets", "--partition", partition_of(b, group),
                     "--offset", "earliest", "--max-messages", n, "--timeout-ms", 20000, "--formatter", f"org.apache.kafka.tools.consumer.{formatter}").stdout.strip()
    rows = []
    while text:
        row, end = json.JSONDecoder().raw_decode(text)
        rows.append(row)
        text = text[end:].lstrip()
    return rows


def test_javas_formatters_read_what_is_written(brokers, kind, topic, group, members):
    """Values, versions and all; a tombstone, too."""
    b = ready(brokers(kind).start(), group)
    t = topic(b, partitions=2)
    m = members(group, where=b, instance="static", version=9)
    m.join()
    m.sync([(m.id, b"\0\0\0\0\0\0\0\0\0\0")])
    assert m.commit(t, 0, 11, "words") == NONE
    assert m.commit(t, 1, 12, version=3, RetentionTimeMs=3600000) == NONE
    m.leave()
    wait_until(lambda: described(b, group)["GroupState"] == "Empty", 10)
    with b.connect() as c:
        assert c.call("DeleteGroups", 2, {"GroupsNames": [group]})["Results"][0]["ErrorCode"] == 0
    offsets = read_internal(b, group, "OffsetsMessageFormatter", 7)
    now = time.time() * 1000
    for r in offsets:
        for key in ("commitTimestamp", "expireTimestamp"):
            if r["value"] and r["value"]["data"].get(key, -1) > 0:
                assert abs(r["value"]["data"][key] - now) < 4_000_000
                r["value"]["data"][key] = "some time"
    k = lambda p: {"version": 1, "data": {"group": group, "topic": t, "partition": p}}
    assert offsets[:2] == [
        {"key": k(0), "value": {"version": 3, "data": {"offset": 11, "leaderEpoch": -1, "metadata": "words", "commitTimestamp": "some time"}}},
        {"key": k(1), "value": {"version": 1, "data": {"offset": 12, "metadata": "", "commitTimestamp": "some time", "expireTimestamp": "some time"}}}], offsets
    assert sorted(map(str, offsets[2:])) == sorted(map(str, ({"key": k(p), "value": None} for p in (0, 1)))), offsets
    rows = read_internal(b, group, "GroupMetadataMessageFormatter", 7)
    assert [r["key"] for r in rows] == [{"version": 2, "data": {"group": group}}] * 3, rows
    first, empty, gone = (r["value"] for r in rows)
    assert first["version"] == empty["version"] == 3 and gone is None
    d = first["data"]
    assert (d["protocolType"], d["generation"], d["protocol"], d["leader"]) == ("consumer", 1, "range", m.id)
    assert [(x["memberId"], x["groupInstanceId"], x["clientId"], x["clientHost"], x["sessionTimeout"], x["rebalanceTimeout"]) for x in d["members"]] == [
        (m.id, "static", "test", "/127.0.0.1", 10000, 10000)]
    d = empty["data"]
    assert (d["protocolType"], d["generation"], d["protocol"], d["leader"], d["members"]) == ("consumer", 2, None, None, [])


# ---- commits ----------------------------------------------------------------------------------------------------------------------------
def test_offsets_are_kept_without_any_group(broker, topic, group):
    """A consumer that assigns by hand, and everything about a commit."""
    ready(broker, group)
    t = topic(broker, partitions=3)
    with broker.connect() as c:
        def commit(version, **row):
            a = c.call("OffsetCommit", version, {"GroupId": group, "Topics": [{"Name": t, "Partitions": [{"PartitionIndex": 0, **row}]}]})
            return a["Topics"][0]["Partitions"][0]["ErrorCode"]

        for v in range(1, 10):
            assert commit(v, CommittedOffset=v, CommittedMetadata=f"version {v}", **({"CommittedLeaderEpoch": v} if v >= 6 else {})) == NONE
            assert committed(broker, group, t, range(3)) == {0: (v, f"version {v}")}
            a = c.call("OffsetFetch", 5, {"GroupId": group, "Topics": [{"Name": t, "PartitionIndexes": [0]}]})
            assert a["Topics"][0]["Partitions"][0]["CommittedLeaderEpoch"] == (v if v >= 6 else -1)
        assert commit(8, CommittedOffset=3, CommittedMetadata=None) == NONE and committed(broker, group, t, [0]) == {0: (3, "")}
        assert commit(8, CommittedOffset=9, CommittedMetadata="x" * 4096) == NONE
        assert commit(8, CommittedOffset=10, CommittedMetadata="x" * 4097) == 12
        assert commit(8, PartitionIndex=7, CommittedOffset=1) == 3
        a = c.call("OffsetFetch", 7, {"GroupId": group, "Topics": None, "RequireStable": True})
        assert [(r["Name"], [(p["PartitionIndex"], p["CommittedOffset"]) for p in r["Partitions"]]) for r in a["Topics"]] == [(t, [(0, 9)])]
        a = c.call("OffsetFetch", 5, {"GroupId": group, "Topics": [{"Name": "nobody", "PartitionIndexes": [5]}]})
        assert a["Topics"][0]["Partitions"][0] == {"PartitionIndex": 5, "CommittedOffset": -1, "CommittedLeaderEpoch": -1, "Metadata": "", "ErrorCode": 0}
        d = described(broker, group)
        assert (d["GroupState"], d["ProtocolType"], d["Members"]) == ("Empty", "", [])


def test_offsets_expire_by_the_rules_of_their_groups(brokers, kind, topic, group, members):
    """With an expiry of their own, which old clients may name: a simple group's at once; of a consumer group what nobody is subscribed to, the rest when
    it is empty.  A group that has none left is gone.  What is gone stays so."""
    b = ready(brokers(kind, config={"offsets.retention.check.interval.ms": 300, "zookeeper.session.timeout.ms": 4000}).start(), group)
    for other in ("simple", "gone"):
        ready(b, f"{group}-{other}")
    t, u = topic(b, partitions=2), topic(b)
    simple = members(f"{group}-simple", where=b)
    soon = {"version": 3, "RetentionTimeMs": 1}
    assert simple.commit(t, 0, 1, **soon) == simple.commit(t, 1, 2) == NONE
    wait_until(lambda: committed(b, f"{group}-simple", t, range(2)) == {1: (2, "")}, 20, "one to go")
    m = members(group, where=b, session=60000, topics=(t,))
    m.join()
    m.sync([(m.id, b"")])
    assert m.commit(t, 0, 3, **soon) == m.commit(u, 0, 4, **soon) == m.commit(u, 0, 5, version=2, RetentionTimeMs=3600000) == NONE
    assert m.commit(t, 1, 6, **soon) == NONE
    gone = members(f"{group}-gone", where=b)
    assert gone.commit(u, 0, 7, **soon) == NONE
    wait_until(lambda: described(b, f"{group}-gone")["GroupState"] == "Dead", 20, "the group to end")
    assert committed(b, group, t, range(2)) == {0: (3, ""), 1: (6, "")} and committed(b, group, u, [0]) == {0: (5, "")}, "the later commit says when"
    assert m.commit(u, 0, 8, **soon) == NONE
    wait_until(lambda: committed(b, group, u, [0]) == {}, 20, "what nobody is subscribed to")
    assert committed(b, group, t, range(2)) == {0: (3, ""), 1: (6, "")} and m.heartbeat() == NONE
    m.leave()
    wait_until(lambda: described(b, group)["GroupState"] == "Dead", 20, "the group to end")
    b.kill9()
    b.start()
    for other in ("", "-simple", "-gone"):
        ready(b, group + other)
    assert [described(b, group + x)["GroupState"] for x in ("", "-gone", "-simple")] == ["Dead", "Dead", "Empty"]
    assert committed(b, group, t, range(2)) == {} and committed(b, f"{group}-simple", t, range(2)) == {1: (2, "")}


def test_what_is_too_large_for_a_record_is_refused_and_harms_nobody_else(brokers, kind, topic, group, members):
    b = ready(brokers(kind, config={"message.max.bytes": 3000}).start(), group)
    ready(b, f"{group}-small")
    t = topic(b)
    small = members(f"{group}-small", where=b)
    assert small.join()["ErrorCode"] == small.sync([(small.id, b"x")])["ErrorCode"] == small.commit(t, 0, 1) == NONE
    huge = members(group, where=b, topics=["t" * 200] * 20)
    assert huge.join()["ErrorCode"] == NONE
    assert huge.sync([(huge.id, b"")])["ErrorCode"] == -1, "its subscription does not fit into the record"
    assert huge.heartbeat() == REBALANCE_IN_PROGRESS
    huge.protocols = small.protocols
    assert huge.join()["ErrorCode"] == NONE
    assert huge.sync([(huge.id, b"y" * 3000)])["ErrorCode"] == -1, "nor its assignment"
    assert huge.join()["ErrorCode"] == huge.sync([(huge.id, b"y" * 100)])["ErrorCode"] == NONE
    generation = huge.generation
    assert huge.commit(t, 0, 2, "m" * 3500) == 28
    assert huge.commit(t, 0, 3, "m" * 100) == NONE
    assert committed(b, group, t, [0]) == {0: (3, "m" * 100)}
    b.restart()
    ready(ready(b, group), f"{group}-small")
    for m in (small, huge):
        m.close()
        m.c = b.connect()
        assert m.heartbeat() == NONE
    assert huge.generation == generation and committed(b, f"{group}-small", t, [0]) == {0: (1, "")}


def test_offsets_of_a_deleted_topic_are_gone(broker, topic, group):
    from confluent_kafka.admin import AdminClient
    ready(broker, group)
    t, other = topic(broker), topic(broker)
    with broker.connect() as c:
        c.call("OffsetCommit", 8, {"GroupId": group, "Topics": [{"Name": n, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 4}]} for n in (t, other)]})
    assert committed(broker, group, t, [0]) == {0: (4, "")}
    client = AdminClient({"bootstrap.servers": broker.address, "broker.address.family": "v4"})
    client.delete_topics([t])[t].result(20)
    wait_until(lambda: committed(broker, group, t, [0]) == {}, 20, "the offsets to go")
    assert committed(broker, group, other, [0]) == {0: (4, "")}


# ---- bad input --------------------------------------------------------------------------------------------------------------------------
def test_foreign_members_old_generations_and_strange_protocols_are_refused(broker, topic, group, members):
    ready(broker, group)
    t = topic(broker)
    m = members(group)
    assert m.join()["ErrorCode"] == NONE and m.sync([(m.id, b"x")])["ErrorCode"] == NONE
    first = m.generation
    assert m.commit(t, 0, 5) == NONE
    stranger = members(group)
    stranger.id, stranger.generation = "somebody", m.generation
    assert stranger.heartbeat() == stranger.commit(t, 0, 9) == stranger.sync()["ErrorCode"] == stranger.leave() == stranger.join()["ErrorCode"] == UNKNOWN_MEMBER_ID
    alone = members(group)      # no identity, but the group has members
    assert alone.commit(t, 0, 9) == UNKNOWN_MEMBER_ID
    for protocols, kind in ((("other",), "consumer"), (("range",), "connect"), ((), "consumer"), (("range",), "")):
        odd = members(group, protocols=protocols, kind=kind, version=3)
        assert odd.join()["ErrorCode"] == 23
    for session in (0, 5999, 1800001, -1):
        assert members(group, session=session).join()["ErrorCode"] == 26
    assert members("").join()["ErrorCode"] == 24
    unknown = members(f"{group}-nobody")
    unknown.id = "somebody"
    assert unknown.join()["ErrorCode"] == unknown.heartbeat() == UNKNOWN_MEMBER_ID
    unknown.generation = 3
    assert unknown.commit(t, 0, 1) == ILLEGAL_GENERATION
    assert m.heartbeat() == NONE, "nothing of this has touched the member"
    assert m.join()["ErrorCode"] == NONE and m.sync([(m.id, b"y")])["Assignment"] == b"y"
    assert m.generation == first + 1
    m.generation = first
    assert m.heartbeat() == m.commit(t, 0, 9) == m.sync()["ErrorCode"] == ILLEGAL_GENERATION
    assert committed(broker, group, t, [0]) == {0: (5, "")}
    with broker.connect() as c:
        a = c.call("OffsetDelete", 0, {"GroupId": group, "Topics": [{"Name": t, "Partitions": [{"PartitionIndex": 0}]}]})
        assert a["Topics"][0]["Partitions"][0]["ErrorCode"] == 0, "it is subscribed to another topic"
        assert c.call("OffsetDelete", 0, {"GroupId": f"{group}-nobody", "Topics": []})["ErrorCode"] == 69
        a = c.call("DeleteGroups", 2, {"GroupsNames": [group, f"{group}-nobody", group]})
        assert {r["GroupId"]: r["ErrorCode"] for r in a["Results"]} == {group: 68, f"{group}-nobody": 69}


def test_a_full_group_takes_nobody_more(brokers, kind, group, members):
    b = ready(brokers(kind, config={"group.max.size": 2, "group.initial.rebalance.delay.ms": 300}).start(), group)
    pair = [members(group, where=b, version=3) for _ in range(2)]
    together(pair)
    assert members(group, where=b, version=3).join()["ErrorCode"] == 81
    assert [m.heartbeat() for m in pair] == [NONE, NONE]


def test_who_hangs_up_while_it_waits_stays_until_its_session_is_over(brokers, kind, topic, group, members):
    """In a join, in a sync, and with a commit whose answer it does not wait for; beside it one by IPv6."""
    six = free_port()
    b = brokers(kind, config={"group.min.session.timeout.ms": 200, "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SIX:PLAINTEXT"})
    b.config["listeners"] = f"PLAINTEXT://127.0.0.1:{b.port},SIX://[::1]:{six}"
    ready(b.start(), group)
    t = topic(b)
    one, joins = members(group, where=b, at={"host": "::1", "port": six}), members(group, where=b, version=3, session=700)
    assert one.join()["ErrorCode"] == NONE
    one.sync([(one.id, b"")])
    assert [m["ClientHost"] for m in described(b, group)["Members"]] == ["/0:0:0:0:0:0:0:1"]
    joins.send_join()
    wait_until(lambda: one.heartbeat() == REBALANCE_IN_PROGRESS, 10)
    joins.close()
    assert one.join()["ErrorCode"] == NONE and len(one.others) == 2     # nobody noticed that it is gone
    one.sync([(m["MemberId"], b"") for m in one.others])
    wait_until(lambda: one.heartbeat() == REBALANCE_IN_PROGRESS, 20, "the end of its session")
    syncs = members(group, where=b, version=3, session=700)
    assert one.join()["ErrorCode"] == NONE and len(one.others) == 1
    one.sync([(one.id, b"")])
    syncs.send_join()
    wait_until(lambda: one.heartbeat() == REBALANCE_IN_PROGRESS, 10)
    one.send_join()
    assert (one.receive_join()["ErrorCode"], syncs.receive_join()["ErrorCode"]) == (NONE, NONE)
    assert {m["MemberId"] for m in one.others} <= {one.id, syncs.id}     # the one that hung up is gone
    syncs.send_sync()
    syncs.close()
    one.sync([(m["MemberId"], b"") for m in one.others])
    wait_until(lambda: one.heartbeat() == REBALANCE_IN_PROGRESS, 20, "the end of its session")
    assert one.join()["ErrorCode"] == NONE and len(one.others) == 1
    one.sync([(one.id, b"")])
    with b.connect() as c:
        c.send("OffsetCommit", 8, {"GroupId": group, "GenerationIdOrMemberEpoch": one.generation, "MemberId": one.id, "Topics": [
            {"Name": t, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 5, "CommittedMetadata": ""}]}]})
    wait_until(lambda: committed(b, group, t, [0]) == {0: (5, "")}, 20, "the commit")
    assert one.heartbeat() == NONE


def test_required_acks_are_what_a_commit_waits_for(brokers, kind, topic, group):
    """-1, 0 and 1 do; 2, allowed at the start by the replication factor, is refused by the log at each commit, as in Java; more or less by the start."""
    b = ready(brokers(kind).start(), group)
    t = topic(b)
    kept = None

    def commit(offset):
        with b.connect() as c:
            a = c.call("OffsetCommit", 8, {"GroupId": group, "Topics": [{"Name": t, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": offset, "CommittedMetadata": ""}]}]})
            return a["Topics"][0]["Partitions"][0]["ErrorCode"]

    for acks, error in ((-1, NONE), (0, NONE), (1, NONE), (2, 21)):
        b.config.update({"offsets.commit.required.acks": acks, "offsets.topic.replication.factor": max(acks, 1)})
        b.stop()
        ready(b.start(), group)
        assert commit(acks + 10) == error, acks
        kept = acks + 10 if error == NONE else kept
        assert committed(b, group, t, [0]) == {0: (kept, "")}, acks
        member = Member(b, f"{group}-{acks}")
        try:
            assert member.join()["ErrorCode"] == NONE
            assert member.sync([(member.id, b"")])["ErrorCode"] == error
        finally:
            member.close()
    for acks in (-2, 3):
        b.stop()
        b.config["offsets.commit.required.acks"] = acks
        b.launch()
        wait_until(lambda: not b.alive(), 60, "the refusal")
        assert "offsets.commit.required.acks" in b.text()


@pytest.mark.only("ottla")      # Java makes an id that its own answers cannot hold
def test_a_name_that_leaves_no_room_for_an_id_is_cut(brokers, kind, group, members):
    """The member id is the instance's name and a UUID, and has to be a string of the protocol again."""
    b = ready(brokers(kind, config={"group.initial.rebalance.delay.ms": 300}).start(), group)
    pair = [members(group, where=b, version=5), members(group, where=b, version=5, instance="i" * 32767)]
    together(pair)
    assert [m.heartbeat() for m in pair] == [NONE, NONE]
    assert {len(m.id) for m in pair} >= {32767}


def test_thousands_of_groups_of_one_client(broker, topic, group):
    ready(broker, group)
    t = topic(broker)
    n = 2000
    names = [f"{group}-{i}" for i in range(n)]
    before = broker.memory()
    with broker.connect() as c:
        for i, name in enumerate(names):
            a = c.call("OffsetCommit", 8, {"GroupId": name, "Topics": [{"Name": t, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": i, "CommittedMetadata": "m" * 100}]}]})
            assert a["Topics"][0]["Partitions"][0]["ErrorCode"] == NONE
        a = c.call("OffsetFetch", 8, {"Groups": [{"GroupId": name, "Topics": None} for name in names]})
        assert [g["Topics"][0]["Partitions"][0]["CommittedOffset"] for g in sorted(a["Groups"], key=lambda g: int(g["GroupId"].rpartition("-")[2]))] == list(range(n))
        listed = {g["GroupId"] for g in c.call("ListGroups", 5, {"StatesFilter": ["EMPTY"]})["Groups"]}
        assert listed >= {*names}
        a = c.call("DeleteGroups", 2, {"GroupsNames": names})
        assert {r["ErrorCode"] for r in a["Results"]} == {NONE}
        assert not {g["GroupId"] for g in c.call("ListGroups", 4)["Groups"]} & {*names}
    if broker.kind == "ottla" and not env.sanitized():      # a sanitizer keeps what was freed
        assert broker.memory() - before < 30_000, "KiB"
