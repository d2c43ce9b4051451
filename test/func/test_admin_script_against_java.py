# SPDX-License-Identifier: Apache-2.0
"""The same administrator's script (harness/AdminScript.java, through Kafka's own client) on Java and on the broker under test: the same answers, and
then the same znodes, all of them."""
import pytest

from harness import java, znodes
from test_corpus_against_java import WAITING

pytestmark = pytest.mark.zookeeper

# Steps that differ, with their reason; one that no longer does fails.
KNOWN = {}
# What an API that we do not have yet (test_corpus_against_java.WAITING) takes out of the script, on both.
STEPS = {"AlterClientQuotas": ["quota"], "AlterUserScramCredentials": ["credential"], "DescribeLogDirs": ["log directories"],
         "AlterReplicaLogDirs": ["move a replica"], "ElectLeaders": ["elect"], "AlterPartitionReassignments": ["reassign", "cancel"]}


@pytest.fixture(scope="module")
def outcomes(pair, kind):
    left_out = [s for api, steps in STEPS.items() if api in WAITING and kind == "ottla" for s in steps]
    text = java.program("AdminScript", ",".join(left_out), *[x for b in pair for x in (b.address, b.directory)])
    _, *parts = text.split("broker\n")
    return [[tuple(line.split("|", 2)[1:]) for line in part.splitlines()] for part in parts]


def test_an_administrators_script_is_answered_as_java_does(outcomes, kind):
    java, ours = outcomes
    assert len(java) > 40 and [w for w, _ in java] == [w for w, _ in ours]
    differ = {w: f"ours {b!r}, Java's {a!r}" for (w, a), (_, b) in zip(java, ours) if a != b}
    known = KNOWN if kind == "ottla" else {}
    assert not set(differ) - set(known), "\n".join(f"{w}: {d}" for w, d in differ.items() if w not in known)
    assert not set(known) - set(differ), f"no longer differ: {set(known) - set(differ)}"


def test_after_an_administrators_script_zookeeper_holds_the_same(pair, outcomes, zk, kind):
    znodes.same(zk, *pair)
