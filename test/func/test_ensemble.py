# SPDX-License-Identifier: Apache-2.0
"""One broker and an ensemble of three ZooKeeper servers that are killed, paused, slow and flapping, while it serves."""
import itertools
import signal
import threading
import time

import pytest

from harness import records
from harness.clients import confluent_consume
from harness.proc import wait_until

pytestmark = pytest.mark.zookeeper

SESSION_S = 6
RETRIABLE_CREATE = (-1, 7, 11, 41)      # unknown (Java, when its session ends), timed out, a controller superseded, not the controller


class Producer:
    """Produces one record after the other, each when the one before is acknowledged; keeps what was."""

    def __init__(self, broker, topic):
        self.broker, self.topic, self.acked, self.refused = broker, topic, [], {}
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.goes_on("the first record")
        return self

    def __exit__(self, *exc):
        self.ending.set()
        self.thread.join(60)

    def run(self):
        for i in itertools.count():
            if self.ending.wait(0.005):
                return
            try:
                self.once(b"%d" % i)
            except OSError as e:
                self.refused[type(e).__name__] = self.refused.get(type(e).__name__, 0) + 1

    def once(self, value):
        with self.broker.connect(timeout=20) as c:
            answer = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 10000, "TopicData": [
                {"Name": self.topic, "PartitionData": [{"Index": 0, "Records": records.batch([value])}]}]})
        (p,) = answer["Responses"][0]["PartitionResponses"]
        if p["ErrorCode"] == 0:
            self.acked.append((p["BaseOffset"], value))
        else:
            self.refused[p["ErrorCode"]] = self.refused.get(p["ErrorCode"], 0) + 1

    def goes_on(self, when):
        before = len(self.acked)
        wait_until(lambda: len(self.acked) > before + 3, 60, f"records to be acknowledged: {when}; refused so far: {self.refused}")


def topics_come_and_go(b, name):
    """A topic is created, written to and deleted, however often one has to ask."""
    def create():
        with b.connect() as c:
            e = c.call("CreateTopics", 4, {"Topics": [{"Name": name, "NumPartitions": 2, "ReplicationFactor": 1}], "timeoutMs": 10000})["Topics"][0]["ErrorCode"]
        assert e in (0, 36, *RETRIABLE_CREATE), e
        return e in (0, 36)

    def produce():
        with b.connect() as c:
            answer = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 10000, "TopicData": [
                {"Name": name, "PartitionData": [{"Index": p, "Records": records.batch([b"x"])} for p in (0, 1)]}]})
        return all(p["ErrorCode"] == 0 for p in answer["Responses"][0]["PartitionResponses"])

    def delete():
        with b.connect() as c:
            e = c.call("DeleteTopics", 3, {"TopicNames": [name], "TimeoutMs": 10000})["Responses"][0]["ErrorCode"]
        assert e in (0, 3, *RETRIABLE_CREATE), e
        return e == 3

    wait_until(create, 60, f"{name} to be created", every=0.2)
    wait_until(produce, 60, f"{name} to be written to", every=0.1)
    wait_until(delete, 60, f"{name} to be deleted", every=0.2)
    assert b.alive()


def pause(*nodes):
    for n in nodes:
        n.process.signal(signal.SIGSTOP)


def go_on(*nodes):
    for n in nodes:
        n.process.signal(signal.SIGCONT)


@pytest.mark.long
def test_an_ensemble_whose_servers_die_pause_and_flap_costs_no_record(brokers, kind, ensemble, topic):
    b = brokers(kind, zk_connect=f"{ensemble.address}/ensemble", config={
        "zookeeper.session.timeout.ms": SESSION_S * 1000, "log.retention.ms": -1}).start()       # the records are of long ago
    t = topic(b)
    with Producer(b, t) as p:
        def after(what):
            ensemble.wait()
            topics_come_and_go(b, f"after-{what}")
            p.goes_on(what)

        for what, victim in (("follower-killed", lambda e: e.others(e.leader())[0]), ("leader-killed", lambda e: e.leader())):
            node = victim(ensemble)
            node.stop()
            p.goes_on(f"{what}, two servers left")
            topics_come_and_go(b, f"during-{what}")
            node.process.start()
            after(what)
        node = ensemble.leader()            # the others elect another one, and this one learns of it when it goes on
        pause(node)
        topics_come_and_go(b, "leader-paused")
        go_on(node)
        after("leader-paused-and-back")
        pause(*ensemble.nodes[:2])          # no quorum
        time.sleep(SESSION_S / 2)
        p.goes_on("no quorum for a moment")
        go_on(*ensemble.nodes[:2])
        after("quorum-lost")
        for proxy in ensemble.proxies:      # the session ends meanwhile
            proxy.refuse()
        time.sleep(SESSION_S * 1.5)
        p.goes_on("all ways cut")
        for proxy in ensemble.proxies:
            proxy.allow()
        after("session-expired")
        assert kind == "java" or "session expired" in b.text()
        for i in range(4):                  # one flaps, the way to all is slow
            for proxy in ensemble.proxies:
                proxy.slow(0.05 * (i % 2))
            ensemble.nodes[i % 3].stop()
            topics_come_and_go(b, f"flapping-{i}")
            ensemble.nodes[i % 3].process.start()
            for proxy in ensemble.proxies:
                proxy.cut()
            ensemble.wait()
        for proxy in ensemble.proxies:
            proxy.slow(0)
        after("flapping")
    got = confluent_consume(b, t, max(o for o, _ in p.acked) + 1)
    assert [(o, v) for o, v in p.acked if got[o] != v] == []
    assert len(p.acked) > 100
    b.stop()
