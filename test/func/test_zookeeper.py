# SPDX-License-Identifier: Apache-2.0
"""The broker and ZooKeeper: outages, expiry, what it registers, and how its death becomes visible (the keeper and the session record)."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from harness import env
from harness.clients import confluent_consume, confluent_produce
from harness.proc import pids_with, wait_until

pytestmark = pytest.mark.zookeeper


def java_random_bytes(seed, n):
    """java.util.Random(seed).nextBytes(n)"""
    state = (seed ^ 0x5DEECE66D) & (1 << 48) - 1
    out = b""
    while len(out) < n:
        state = (state * 0x5DEECE66D + 0xB) & (1 << 48) - 1
        out += struct.pack("<I", state >> 16 & 0xFFFFFFFF)
    return out[:n]


def close_session(zk, session_id):
    """Ends another client's session.  The server makes a session's password from its id, so we can make it too.

    Connect and close leave in one write, and again until they arrive together: the session's owner, cut off by our connection, comes back
    within milliseconds and cuts ours."""
    signed = session_id - (1 << 64) if session_id >= 1 << 63 else session_id
    password = java_random_bytes((signed ^ 0xB3415C00) & (1 << 64) - 1, 16)
    connect = struct.pack(">iqiqi16s?", 0, 0, 6000, signed, 16, password, False)
    close = struct.pack(">ii", 1, -11)
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", zk.port), timeout=10) as s:
            s.sendall(struct.pack(">i", len(connect)) + connect + struct.pack(">i", len(close)) + close)
            answer = b""
            try:
                while more := s.recv(4096):
                    answer += more
            except ConnectionResetError:
                pass
        if len(answer) >= 16:
            given = struct.unpack_from(">q", answer, 12)[0]
            assert given in (signed, 0), "the password did not fit"
            if given == 0 or len(answer) > 4 + struct.unpack_from(">i", answer)[0]:      # gone already, or the close was answered
                return
    raise AssertionError(f"session {session_id:#x} could not be closed")


def registration(k, b):
    """-> (the JSON of /brokers/ids/N, its znode stat) or None"""
    if k.exists(f"/brokers/ids/{b.id}") is None:
        return None
    data, stat = k.get(f"/brokers/ids/{b.id}")
    return json.loads(data), stat


def owner(k, b):
    found = registration(k, b)
    return found and found[1].ephemeralOwner


def chroot(b):
    return "/" + b.zk_connect.partition("/")[2]


def works(b, topic):
    """Create, produce, consume: the whole broker is there."""
    t = topic(b)
    confluent_produce(b, t, [b"1", b"2"])
    return confluent_consume(b, t, 2) == [b"1", b"2"]


# ---- what it registers ------------------------------------------------------------------------------------------------------------------
def test_the_registration_is_what_java_writes(brokers, kind, zk):
    b = brokers(kind, broker_id=7).start()
    with zk.session(chroot(b)) as k:
        body, stat = registration(k, b)
        assert stat.ephemeralOwner
        stamp = body.pop("timestamp")
        assert abs(int(stamp) - time.time() * 1000) < 120_000
        assert body == {"version": 5, "host": "127.0.0.1", "port": b.port, "jmx_port": -1, "features": {},
                        "endpoints": [f"PLAINTEXT://127.0.0.1:{b.port}"], "listener_security_protocol_map": {"PLAINTEXT": "PLAINTEXT"}}
        controller = json.loads(k.get("/controller")[0])
        assert controller.pop("timestamp").isdigit()
        assert controller == {"version": 2, "brokerid": 7, "kraftControllerEpoch": -1}
        cluster = json.loads(k.get("/cluster/id")[0])
        assert cluster["version"] == "1" and f"cluster.id={cluster['id']}\n" in (b.data / "meta.properties").read_text()
        assert k.get("/controller_epoch")[0] == b"1"
        b.stop()
        assert wait_until(lambda: registration(k, b) is None, 5) and k.exists("/controller") is None


def test_topics_stand_in_zookeeper_as_java_keeps_them(brokers, kind, zk, topic):
    b = brokers(kind).start()
    t = topic(b, partitions=2, config={"retention.ms": 1234})
    with zk.session(chroot(b)) as k:
        body = json.loads(k.get(f"/brokers/topics/{t}")[0])
        assert body.pop("topic_id")
        assert body == {"version": 3, "partitions": {"0": [b.id], "1": [b.id]}, "adding_replicas": {}, "removing_replicas": {}}
        assert json.loads(k.get(f"/config/topics/{t}")[0]) == {"version": 1, "config": {"retention.ms": "1234"}}
        for n in range(2):
            state = json.loads(k.get(f"/brokers/topics/{t}/partitions/{n}/state")[0])
            assert state == {"version": 1, "leader": b.id, "leader_epoch": 0, "isr": [b.id], "controller_epoch": 1}, state
        b.restart()
        assert json.loads(k.get("/controller_epoch")[0]) == 2
        # its only replica came back before anybody noticed: leader and epoch stand
        assert json.loads(k.get(f"/brokers/topics/{t}/partitions/1/state")[0]) == state


def test_a_topic_made_in_zookeeper_by_an_old_tool_is_served(brokers, kind, zk, topic):
    b = brokers(kind).start()
    t = topic()
    with zk.session(chroot(b)) as k:
        k.create(f"/brokers/topics/{t}", json.dumps({"version": 1, "partitions": {"0": [b.id]}}).encode())
    wait_until(lambda: (confluent_produce(b, t, [b"x"], **{"message.timeout.ms": 2000}), True)[1], 20)
    assert confluent_consume(b, t, 1) == [b"x"]


# ---- outages ----------------------------------------------------------------------------------------------------------------------------
def test_zookeeper_restarted_the_broker_stays_and_serves(brokers, kind, zk_private, topic):
    b = brokers(kind, zk_connect=f"{zk_private.address}/kafka").start()
    t = topic(b)
    with zk_private.session("/kafka") as k:
        before = owner(k, b)
    zk_private.stop()
    confluent_produce(b, t, [b"while it is away"])
    assert confluent_consume(b, t, 1) == [b"while it is away"]
    zk_private.start()
    with zk_private.session("/kafka") as k:
        assert wait_until(lambda: owner(k, b), 30) == before, "the session should have outlived the restart"
        wait_until(lambda: works(b, topic), 30)
    assert b.alive()


def test_session_expired_the_broker_registers_again_and_serves(brokers, kind, zk, topic):
    b = brokers(kind).start()
    t = topic(b)
    confluent_produce(b, t, [b"before"])
    with zk.session(chroot(b)) as k:
        for _ in range(3):
            before = owner(k, b)
            epoch = int(k.get("/controller_epoch")[0])
            close_session(zk, before)
            after = wait_until(lambda: (o := owner(k, b)) and o != before and o, 30, "a new registration")
            wait_until(lambda: int(k.get("/controller_epoch")[0]) > epoch, 30, "a new controller epoch")
            wait_until(lambda: json.loads(k.get("/controller")[0])["brokerid"] == b.id, 10)
            assert k.exists("/controller").ephemeralOwner == after
            wait_until(lambda: works(b, topic), 30)
    assert confluent_consume(b, t, 1) == [b"before"]
    assert b.alive()


def test_connection_cut_the_session_survives(brokers, kind, zk, proxies, topic):
    proxy = proxies(zk.port)
    b = brokers(kind, zk_connect=f"{proxy.address}/cut-{proxy.port}").start()
    with zk.session(chroot(b)) as k:
        before = owner(k, b)
        for _ in range(5):
            proxy.cut()
            wait_until(lambda: works(b, topic), 20)
        assert owner(k, b) == before


def test_cut_off_longer_than_the_session_the_broker_serves_on_and_registers_again(brokers, kind, zk, proxies, topic):
    proxy = proxies(zk.port)
    b = brokers(kind, zk_connect=f"{proxy.address}/off-{proxy.port}", config={"zookeeper.session.timeout.ms": 4000}).start()
    t = topic(b)
    with zk.session(chroot(b)) as k:
        before = owner(k, b)
        proxy.refuse()
        wait_until(lambda: owner(k, b) is None, 20, "the session to expire at the server")
        confluent_produce(b, t, [b"cut off"], **{"message.timeout.ms": 20000})
        proxy.allow()
        assert wait_until(lambda: owner(k, b), 60, "a new registration") != before
        wait_until(lambda: works(b, topic), 30)
        assert confluent_consume(b, t, 1) == [b"cut off"]


def test_a_silent_zookeeper_is_noticed_and_left(brokers, kind, zk, proxies, topic):
    proxy = proxies(zk.port)
    b = brokers(kind, zk_connect=f"{proxy.address}/hold-{proxy.port}", config={"zookeeper.session.timeout.ms": 4000}).start()
    with zk.session(chroot(b)) as k:
        proxy.hold()
        wait_until(lambda: owner(k, b) is None, 20, "the session to expire at the server")
        proxy.allow()
        wait_until(lambda: owner(k, b), 60, "a new registration")
        wait_until(lambda: works(b, topic), 30)


def test_a_paused_broker_registers_again_when_it_wakes(brokers, kind, zk, topic):
    b = brokers(kind, config={"zookeeper.session.timeout.ms": 4000}).start()
    with zk.session(chroot(b)) as k:
        before = owner(k, b)
        b.process.signal(signal.SIGSTOP)
        wait_until(lambda: owner(k, b) is None, 20, "the session to expire at the server")
        b.process.signal(signal.SIGCONT)
        assert wait_until(lambda: owner(k, b), 30, "a new registration") != before
        wait_until(lambda: works(b, topic), 30)


# ---- refusals ---------------------------------------------------------------------------------------------------------------------------
def test_zookeeper_away_at_start_ends_with_a_diagnostic(brokers, kind):
    from harness.proc import free_port
    port = free_port()
    b = brokers(kind, zk_connect=f"127.0.0.1:{port}/kafka", config={"zookeeper.connection.timeout.ms": 2000}).launch()
    status, text = b.wait_exit(40)
    assert status == 1 and "zookeeper" in text.lower()
    assert kind == "java" or f"127.0.0.1:{port}" in text


def test_an_id_that_is_registered_is_refused_and_its_owner_unharmed(brokers, kind, zk, topic):
    b = brokers(kind, broker_id=3).start()
    with zk.session(chroot(b)) as k:
        before = owner(k, b)
        second = brokers(kind, broker_id=3, zk_connect=b.zk_connect).launch()
        status, text = second.wait_exit(60)
        assert status == 1 and "/brokers/ids/3" in text, text[-2000:]
        assert owner(k, b) == before
    assert works(b, topic)


@pytest.mark.only("ottla")
def test_another_broker_in_the_cluster_is_refused_until_we_can_replicate(brokers, kind, zk):
    b = brokers(kind, broker_id=1).start()
    status, text = brokers(kind, broker_id=2, zk_connect=b.zk_connect).launch().wait_exit(30)
    assert status == 1 and "broker 1 is registered" in text, text[-2000:]


@pytest.mark.only("ottla")
def test_a_foreign_id_that_appears_is_reported_and_never_a_replica(brokers, kind, zk, topic):
    b = brokers(kind, broker_id=1).start()
    with zk.session(chroot(b)) as k:
        k.create("/brokers/ids/2", json.dumps({
            "version": 5, "host": "127.0.0.1", "port": 1, "jmx_port": -1, "timestamp": "1", "features": {},
            "endpoints": ["PLAINTEXT://127.0.0.1:1"], "listener_security_protocol_map": {"PLAINTEXT": "PLAINTEXT"}}).encode(), ephemeral=True)
        with b.connect() as c:
            def create(**fields):
                return c.call("CreateTopics", 4, {"Topics": [{"Name": topic(), "NumPartitions": 1, "ReplicationFactor": 2, **fields}],
                                                  "timeoutMs": 10000})["Topics"][0]["ErrorCode"]

            wait_until(lambda: "broker 2 has registered" in b.text(), 10, "a report")
            assert create() == 38                                                                   # INVALID_REPLICATION_FACTOR
            assert create(NumPartitions=-1, ReplicationFactor=-1,
                          Assignments=[{"PartitionIndex": 0, "BrokerIds": [2]}]) == 39               # INVALID_REPLICA_ASSIGNMENT
            assert [x["NodeId"] for x in c.call("Metadata", 9, {"Topics": []})["Brokers"]] == [1]
    assert works(b, topic)


@pytest.mark.only("ottla")
def test_a_foreign_controller_ends_the_broker_cleanly(brokers, kind, zk, topic):
    b = brokers(kind, broker_id=1).start()
    t = topic(b)
    confluent_produce(b, t, [b"x"])
    with zk.session(chroot(b)) as k:
        t = k.transaction()         # in one step: the broker would be faster
        t.delete("/controller")
        t.create("/controller", json.dumps({"version": 2, "brokerid": 9, "timestamp": "1", "kraftControllerEpoch": -1}).encode(), ephemeral=True)
        assert not any(isinstance(r, Exception) for r in t.commit())
        status, text = b.wait_exit(30)
        assert "/controller" in text and "9" in text
    assert (b.data / ".kafka_cleanshutdown").exists()


# ---- the keeper and the session record --------------------------------------------------------------------------------------------------
SLOW = {"zookeeper.session.timeout.ms": 18000}


def timed_start(b):
    began = time.monotonic()
    b.start()
    return time.monotonic() - began


def record_files(b):
    """The session record, as a list of none or one."""
    return list(b.data.glob("ottla.session"))


@pytest.mark.only("ottla")
def test_a_killed_brokers_registration_is_gone_at_once(brokers, kind, zk):
    b = brokers(kind, config=SLOW).start()
    with zk.session(chroot(b)) as k:
        assert owner(k, b)
        b.kill9()
        wait_until(lambda: owner(k, b) is None, 3, "the keeper to close the session")
        assert k.exists("/controller") is None
    wait_until(lambda: not b.keepers(), 5, "the keeper to end")


@pytest.mark.only("ottla")
def test_a_clean_stop_leaves_no_keeper_and_no_record(brokers, kind):
    b = brokers(kind, config=SLOW).start()
    assert len(b.keepers()) == 1 and len(record_files(b)) == 1
    assert record_files(b)[0].stat().st_mode & 0o777 == 0o600
    b.stop()
    wait_until(lambda: not b.keepers(), 5)
    assert record_files(b) == []


@pytest.mark.only("ottla")
def test_a_stopped_daemon_is_not_dead_and_its_directory_is_locked(brokers, kind, zk, topic):
    b = brokers(kind, config=SLOW).start()
    with zk.session(chroot(b)) as k:
        before = owner(k, b)
        b.process.signal(signal.SIGSTOP)
        second = brokers(kind, config=SLOW, zk_connect=b.zk_connect)
        second.data = b.data
        status, text = second.launch().wait_exit(30)
        assert status == 1 and ".lock" in text, text[-2000:]
        time.sleep(2)           # a keeper that mistook this for death would have acted by now
        assert owner(k, b) == before
        b.process.signal(signal.SIGCONT)
        assert owner(k, b) == before
    assert works(b, topic)


@pytest.mark.only("ottla")
def test_without_its_keeper_the_restart_closes_the_session(brokers, kind, zk, topic):
    b = brokers(kind, config=SLOW).start()
    for pid in b.keepers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not b.keepers(), 5)
    assert works(b, topic), "the daemon does not need its keeper to serve"
    with zk.session(chroot(b)) as k:
        b.kill9()
        time.sleep(0.5)
        assert owner(k, b), "nobody was there to close it"
        assert timed_start(b) < 6
    assert works(b, topic)


@pytest.mark.only("ottla")
def test_daemon_and_keeper_killed_together_the_restart_is_quick(brokers, kind, topic):
    b = brokers(kind, config=SLOW).start()
    for pid in [b.pid, *b.keepers()]:
        os.kill(pid, signal.SIGKILL)
    b.process.wait(5)
    assert timed_start(b) < 6
    assert works(b, topic)


@pytest.mark.only("ottla")
def test_keeper_and_restart_may_race(brokers, kind, zk, topic):
    b = brokers(kind, config=SLOW).start()
    for _ in range(8):
        b.kill9()
        assert timed_start(b) < 6
        with zk.session(chroot(b)) as k:
            assert owner(k, b)
    time.sleep(1)
    with zk.session(chroot(b)) as k:
        assert owner(k, b), "a late keeper closed the new session"
    assert works(b, topic)


@pytest.mark.only("ottla")
def test_a_stale_record_is_ignored_and_replaced(brokers, kind, zk, topic):
    b = brokers(kind, config=SLOW).start()
    (record,) = record_files(b)
    old = record.read_bytes()
    b.stop()
    record.write_bytes(old)
    assert timed_start(b) < 6
    assert record.read_bytes() != old
    b.kill9()
    record.write_bytes(os.urandom(300))
    with zk.session(chroot(b)) as k:
        wait_until(lambda: owner(k, b) is None, 5)
    assert timed_start(b) < 6
    assert works(b, topic)


@pytest.mark.only("ottla")
def test_a_record_of_another_chroot_closes_nothing(brokers, kind, zk, topic):
    a, b = brokers(kind, config=SLOW).start(), brokers(kind, config=SLOW)
    b.start()
    b.stop()
    (record,) = record_files(a)
    shutil.copy2(record, b.data / record.name)
    with zk.session(chroot(a)) as k:
        before = owner(k, a)
        b.start()
        time.sleep(1)
        assert owner(k, a) == before
    assert works(a, topic) and works(b, topic)


@pytest.mark.only("ottla")
def test_a_record_of_another_ensemble_closes_nothing(brokers, kind, zk, zk_private, topic):
    """The same id, chroot and session id even: what differs is where it was."""
    a = brokers(kind, config=SLOW).start()
    b = brokers(kind, config=SLOW, zk_connect=zk_private.address + chroot(a)).start()
    b.stop()
    (record,) = record_files(a)
    shutil.copy2(record, b.data / record.name)
    with zk.session(chroot(a)) as k:
        before = owner(k, a)
        assert timed_start(b) < 6
        time.sleep(1)
        assert owner(k, a) == before
    assert works(a, topic) and works(b, topic)


@pytest.mark.only("ottla")
def test_after_a_reboot_the_restart_waits_for_the_session_and_comes_up(brokers, kind, zk, topic):
    """A record of another boot: its session is not ours to close, and ends by itself."""
    b = brokers(kind, config={"zookeeper.session.timeout.ms": 6000}).start()
    for pid in [*b.keepers(), b.pid]:
        os.kill(pid, signal.SIGKILL)
    b.process.wait(5)
    (record,) = record_files(b)
    text = record.read_text()
    assert "boot.id=" in text
    record.write_text(re.sub("boot.id=.*", "boot.id=00000000-0000-0000-0000-000000000000", text))
    with zk.session(chroot(b)) as k:
        before = owner(k, b)
        b.launch()
        time.sleep(1.5)
        assert owner(k, b) == before, "it closed a session of which it cannot know whose it is"
        b.wait_ready(15)
        assert owner(k, b) != before
    assert works(b, topic)


@pytest.mark.only("ottla")
def test_a_copied_directory_is_refused_and_its_owner_unharmed(brokers, kind, zk, topic):
    b = brokers(kind).start()
    t = topic(b)
    confluent_produce(b, t, [b"mine"])
    copy = brokers(kind, zk_connect=b.zk_connect)
    shutil.copytree(b.data, copy.data)
    with zk.session(chroot(b)) as k:
        before = owner(k, b)
        status, text = copy.launch().wait_exit(40)
        assert status == 1 and f"/brokers/ids/{b.id}" in text, text[-2000:]
        assert owner(k, b) == before
    assert works(b, topic) and confluent_consume(b, t, 1) == [b"mine"]


@pytest.mark.only("ottla")
def test_zookeeper_unreachable_at_the_death_the_keeper_gives_up_and_the_restart_mends_it(brokers, kind, zk, proxies, topic):
    proxy = proxies(zk.port)
    b = brokers(kind, zk_connect=f"{proxy.address}/death-{proxy.port}", config=SLOW).start()
    proxy.refuse()
    b.kill9()
    assert b.keepers(), "it should try for a third of the session time-out"
    wait_until(lambda: not b.keepers(), 8, "the keeper to give up")
    with zk.session(chroot(b)) as k:
        assert owner(k, b), "the session lives on at the server"
    proxy.allow()
    assert timed_start(b) < 6
    assert works(b, topic)


@pytest.mark.only("ottla")
def test_zk_itself_against_a_real_server(kind, zk_private):
    """The program of test/unit/zk that needs a server (make check builds it).  It counts transactions, so nobody else may use the server."""
    program = pathlib.Path(env.ottlad()).parent / "test/unit/zk/live_zk"
    if not program.exists():
        env.missing(f"{program} (make check builds it)")
    done = subprocess.run([str(program), zk_private.address], capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.mark.only("ottla")
def test_nothing_stays_behind(brokers, kind):
    b = brokers(kind).start()
    b.stop()
    wait_until(lambda: not pids_with(str(b.conf)), 5, "every process of this broker to be gone")
