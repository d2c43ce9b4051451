# SPDX-License-Identifier: Apache-2.0
"""Groups of real clients of every kind: how they share a topic, by each assignor that they have, and what becomes of it when they come, leave and change."""
import pytest

from harness.clients import produce
from harness.groups import all_seen, assigned, described, ready
from harness.proc import wait_until

PARTITIONS = 5      # for two or three no share of all is like another


def settled(broker, group, members, strategy):
    """The shares of that many members, when all of the topic is theirs.  Never has a partition two owners while the group is stable."""
    last = None

    def look():
        nonlocal last
        last = g = described(broker, group)
        if g["GroupState"] != "Stable":
            return None
        shares = [assigned(m) for m in g["Members"]]
        owned = sorted(p for s in shares for p in s)
        return owned if len({*owned}) < len(owned) else shares if len(shares) == members and owned == list(range(PARTITIONS)) and all(shares) else None

    try:
        found = wait_until(look, 40, f"{members} members", 0.05)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{last}") from None
    assert isinstance(found[0], list), f"two owners: {found}"
    assert described(broker, group)["ProtocolData"] == strategy
    return found


class Stream:
    """Records that come in turns; every one of them is to be seen by somebody."""

    def __init__(self, broker, topic):
        self.broker, self.topic, self.sent = broker, topic, []

    def flows(self, clients, shares=None):
        """The next ones.  Of a group at rest each is seen once, by the owner of its partition."""
        before = [len(c.rows) for c in clients]
        new = produce(self.broker, self.topic, 20, PARTITIONS, first=len(self.sent))
        self.sent += new
        all_seen(clients, new)
        fresh = [[r for r in c.rows[n:] if r[2] in {*new}] for c, n in zip(clients, before)]
        if shares:
            assert sorted(v for rows in fresh for _, _, v in rows) == sorted(new)
            assert sorted(sorted({p for p, _, _ in rows}) for rows in fresh) == sorted(sorted(s) for s in shares)


ASSIGNORS = [
    *[("java java", s) for s in ("roundrobin", "sticky")],      # its others: below
    *[("confluent confluent", s) for s in ("range", "roundrobin", "cooperative-sticky")],
    *[(f"{c} {c}", s) for c in ("kafka-python", "aiokafka") for s in ("range", "roundrobin", "sticky")],
    ("kafkajs kafkajs", "RoundRobinAssigner"),
    # of one name, from different hands: each leads at some time (test_clients_of_five_kinds_share_one_group has range)
    ("java confluent kafka-python aiokafka", "roundrobin"), ("aiokafka kafka-python java", "sticky"), ("java confluent", "cooperative-sticky"),
    ("confluent java", "cooperative-sticky")]


@pytest.mark.parametrize("names,strategy", ASSIGNORS, ids=lambda x: x.replace(" ", "+"))
def test_every_assignor_of_every_client_shares_a_topic(broker, topic, group, clients, names, strategy):
    """They come, the first one leads; they leave one by one, first come, first gone."""
    ready(broker, group)
    t = topic(broker, partitions=PARTITIONS)
    stream, found = Stream(broker, t), []
    for name in names.split():
        found.append(clients(name, broker, group, t, strategy=strategy))
        if len(found) == 1:
            settled(broker, group, 1, strategy)
    gone = []
    while found:
        shares = settled(broker, group, len(found), strategy)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        stream.flows(found, shares)
        if len(found) == 1:
            break
        gone.append(found.pop(0))
        gone[-1].end()
    assert {v for c in [*found, *gone] for _, _, v in c.rows} == {*stream.sent}


def test_java_goes_from_range_to_cooperative_sticky_one_member_at_a_time(broker, topic, group, clients):
    """As Kafka's manual has it: each is restarted with both, then with the new one alone."""
    ready(broker, group)
    t = topic(broker, partitions=PARTITIONS)
    stream = Stream(broker, t)
    pair = [clients("java", broker, group, t, strategy="range") for _ in range(2)]
    gone = []
    stream.flows(pair, settled(broker, group, 2, "range"))
    for strategy, at_first in (("cooperative-sticky,range", "range"), ("cooperative-sticky", "cooperative-sticky")):
        for n, common in enumerate((at_first, "cooperative-sticky")):
            gone.append(pair[n])
            pair[n].end()
            pair[n] = clients("java", broker, group, t, strategy=strategy)
            stream.flows(pair, settled(broker, group, 2, common))
    pair[0].end()
    stream.flows(pair[1:], settled(broker, group, 1, "cooperative-sticky"))
    assert {v for c in [*pair, *gone] for _, _, v in c.rows} == {*stream.sent}
