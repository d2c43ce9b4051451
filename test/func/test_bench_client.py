# SPDX-License-Identifier: Apache-2.0
"""The client of `make bench ROWS=groups` does what its figures claim, and `make soak` finds what is not flat."""
import os
import signal
import sys
import time

import pytest

from harness import env
from harness.groupload import GroupLoad
from harness.groups import committed, described, ready
from harness.proc import wait_until

GROUPS, MEMBERS, PARTITIONS = 3, 2, 2


@pytest.fixture
def name(broker, topic):
    """A topic, and what the groups' names begin with."""
    name = topic(broker, MEMBERS * PARTITIONS)
    with broker.connect() as c:
        wait_until(lambda: [p["ErrorCode"] for p in c.call("Metadata", 1, {"Topics": [{"Name": name}]})["Topics"][0]["Partitions"]]
                   == [0] * MEMBERS * PARTITIONS, 30, "leaders")
    for g in range(GROUPS):
        ready(broker, f"{name}-{g}")
    return name


@pytest.fixture
def load(broker, name):
    def make(**options):
        return GroupLoad(broker, **{"topic": name, "prefix": f"{name}-", "groups": GROUPS, "members": MEMBERS, "partitions": PARTITIONS, **options})

    return make


def test_members_join_beat_and_commit_as_often_as_they_should(broker, name, load):
    with load(pid=broker.pid) as l:
        assert l.ask("join")["members"] == GROUPS * MEMBERS
        for g in range(GROUPS):
            d = described(broker, f"{name}-{g}")
            assert (d["GroupState"], d["ProtocolData"], len(d["Members"])) == ("Stable", "range", MEMBERS), d
        assert l.ask("commit")["offsets"] == GROUPS * MEMBERS * PARTITIONS
        ran = l.ask("run", 0.3, 200, 60)
        assert (ran["heartbeats"]["n"], ran["commits"]["n"]) == (60, 18), ran
        assert 0 < ran["commits"]["p50_us"] <= ran["commits"]["p99_us"] <= ran["commits"]["max_us"] and ran["broker_cpu"] > 0, ran
        for g in range(GROUPS):     # once, and 18 / 6 times
            assert committed(broker, f"{name}-{g}", name, range(MEMBERS * PARTITIONS)) == {p: (4, "") for p in range(MEMBERS * PARTITIONS)}


def test_records_are_counted_when_acknowledged_and_when_consumed(broker, load):
    with load(pid=broker.pid) as l:
        ran = l.ask("records", 0.3, 100, 1000, 2 * PARTITIONS)
        assert (ran["acknowledged"]["n"], ran["consumed"]["n"], ran["client_cpu"] > 0) == (30, 60, True), ran
        assert 0 < ran["fetches"] <= 60 and ran["acknowledged"]["max_us"] > 0, ran
        again = l.ask("records", 0.2, 0, 1000, PARTITIONS)      # from the new end: nothing of what was there is counted
        assert (again["acknowledged"]["n"], again["consumed"]["n"], again["fetches"]) == (0, 0, 0), again


def test_a_broker_that_stands_still_is_charged_for_all_that_was_due(broker, load):
    """No coordinated omission: not one late request per connection, but all of that time."""
    with load() as l:
        l.ask("join")
        l.begin("run", 0.5, 200, 0)
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            time.sleep(0.4)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        beats = l.answer()["heartbeats"]
    assert beats["n"] == 100 and beats["max_us"] > 350e3 and beats["p50_us"] > 80e3, beats


def test_what_was_filled_is_fetched(broker, name, load):
    with load() as l:
        assert l.ask("fill", 60, 4)["commits"] == 60
        assert l.ask("fetch")["offsets"] == GROUPS * 4
    # the 60th commit is the last group's, of its last partition
    assert committed(broker, f"{name}-2", name, range(4)) == {0: (51, ""), 1: (54, ""), 2: (57, ""), 3: (60, "")}


def test_an_error_ends_the_run_with_its_name(broker, name, load):
    with pytest.raises(AssertionError, match="UNKNOWN_TOPIC_OR_PARTITION"):
        with load(topic=f"{name}-that-is-not-there") as l:
            l.ask("fill", 10, 1)
    with pytest.raises(AssertionError, match="UNKNOWN_TOPIC_OR_PARTITION"):
        with load(partitions=PARTITIONS + 1) as l:      # of a topic that has fewer
            l.ask("join")
            l.ask("commit")


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(str(env.TOP / "test/bench"))
    import soak
    yield soak
    sys.modules.pop("soak")


@pytest.mark.parametrize("leak, says", [
    ({}, None), ({"memory_kib": 20}, "memory_kib"), ({"descriptors": 0.2}, "descriptors"), ({"threads": 0.01}, "threads"), ({"p99_ms": 0.3}, "p99_ms")])
def test_a_soak_that_rises_is_not_flat(soak, rng, leak, says):
    def row(second):
        row = {"second": second, "memory_kib": 20000 + rng.uniform(-300, 300), "descriptors": 120 + rng.randrange(-8, 8), "threads": 11,
               "p50_ms": 1, "p99_ms": rng.uniform(3, 9), **dict.fromkeys(("produced_mb", "consumed", "joins", "topics"), second)}
        return {k: v + max(0, second - 300) * leak.get(k, 0) for k, v in row.items()}

    lines, flat = soak.verdict([row(s) for s in range(1, 601)])
    assert flat == (says is None) and [x for x in lines if x.startswith("NOT FLAT")] == [x for x in lines if says and f" {says}: " in x], lines
    assert any(x.startswith("NOT FLAT topics") for x in soak.verdict([dict(row(s), topics=7) for s in range(1, 601)])[0])
