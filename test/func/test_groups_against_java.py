# SPDX-License-Identifier: Apache-2.0
"""Groups through all their states, step by step, on Java and on the broker under test: every answer the same, field by field.

Which member leads and in which order members are listed is fixed by the order in which they come; ids are named by who has them."""
import uuid

import pytest

from harness.groups import Member, ready, written
from harness.pair import difference, normalise
from harness.proc import wait_until

T = "topic.of.both"


@pytest.fixture(scope="module")
def both(pair):
    return [ready(b) for b in pair]


def in_order(value):
    """Java lists members as its hash table has them."""
    if isinstance(value, dict):
        return {k: sorted(map(in_order, v), key=str) if k == "Members" and v else in_order(v) for k, v in value.items()}
    return [in_order(v) for v in value] if isinstance(value, list) else value


class Script:
    """What happens on one broker.  Each answer goes into `log`, with the ids of members as letters."""

    def __init__(self, broker, group, version):
        self.broker, self.group, self.version, self.log, self.names, self.made = broker, group, version, [], {}, []
        self.c = broker.connect()

    def member(self, letter, **how):
        m = Member(self.broker, self.group, min(self.version, 9), **{"session": 60000, "rebalance": 60000, "topics": (T,), "protocols": ("range", "roundrobin"), **how})
        m.letter = letter
        self.made.append(m)
        return m

    def name(self, value):
        if isinstance(value, dict):
            return {k: self.name(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.name(v) for v in value]
        return self.names.get(value, value) if isinstance(value, str) else value

    def note(self, words, answer):
        answer = normalise(self.broker, self.name(answer))
        answer = in_order(answer)
        self.log.append((words, answer))
        return answer

    def joined(self, m, words="join"):
        """The answer to the last join; MEMBER_ID_REQUIRED is noted, and answered."""
        a = m.c.receive("JoinGroup", m.version, m.sent)
        if a["MemberId"]:
            self.names.setdefault(a["MemberId"], m.letter)
        self.note(f"{m.letter} {words}", a)
        if a["ErrorCode"] == 79:
            m.id = a["MemberId"]
            m.send_join()
            return self.joined(m, words)
        if a["ErrorCode"] == 0:
            m.id, m.generation, m.leader = a["MemberId"], a["GenerationId"], a["Leader"]
        return a

    def sync(self, m, *shares, words="sync"):
        m.send_sync([(x.id, s) for x, s in shares])
        return self.synced(m, words)

    def synced(self, m, words="sync"):
        return self.note(f"{m.letter} {words}", m.receive_sync())

    def beat(self, m):
        self.note(f"{m.letter} heartbeat", m.heartbeat())

    def commit(self, m, offset, **more):
        v = min(self.version, 9)
        for version in {v, 1, 2, 5} if v > 5 else {max(v, 1)}:
            if version >= 7 or not m.instance:
                self.note(f"{m.letter} commit {version}", m.commit(T, 0, offset, "m", version))

    def ask(self, words, api, version, message):
        self.note(words, self.c.call(api, version, message))

    def look(self, words):
        """Everything that can be seen from outside."""
        self.ask(f"{words}: described", "DescribeGroups", min(self.version, 5), {"Groups": [self.group]})
        a = self.c.call("ListGroups", min(self.version, 5), {})
        self.note(f"{words}: listed", [g for g in a["Groups"] if g["GroupId"] == self.group])
        v = max(1, min(self.version, 9))
        topics = [{"Name": T, "PartitionIndexes": [0, 1]}]
        self.ask(f"{words}: offsets", "OffsetFetch", v, {"Groups": [{"GroupId": self.group, "Topics": topics}]} if v >= 8 else {"GroupId": self.group, "Topics": topics})

    def leave(self, m):
        v = min(self.version, 5)
        self.ask(f"{m.letter} leaves", "LeaveGroup", v, {"GroupId": self.group, **(
            {"Members": [{"MemberId": m.id, "GroupInstanceId": m.instance}]} if v >= 3 else {"MemberId": m.id})})

    def remove(self):
        self.ask("offsets deleted", "OffsetDelete", 0, {"GroupId": self.group, "Topics": [{"Name": T, "Partitions": [{"PartitionIndex": 0}, {"PartitionIndex": 9}]}]})
        self.ask("deleted", "DeleteGroups", min(self.version, 2), {"GroupsNames": [self.group, self.group]})

    def rebalancing(self, m):
        """The others have noticed."""
        wait_until(lambda: m.heartbeat() == 27, 10)

    def read(self):
        """What it wrote into __consumer_offsets.  The order of the members is that of a hash table in Java."""
        for i, b in enumerate(self.name(written(self.broker, self.group))):
            for _, value in b[-1]:
                if value and isinstance(value[-1], list):
                    value[-1].sort(key=str)
            self.note(f"batch {i}", b)

    def close(self):
        for m in self.made:
            m.close()
        self.c.close()


def life(s):
    """Two members, every request in every state."""
    a, b = s.member("a"), s.member("b")
    s.look("nobody")
    a.send_join()
    s.joined(a)
    s.look("completing")
    s.beat(a)
    s.commit(a, 1)
    s.remove()
    b.send_join()               # back to preparing, before anything was assigned
    if s.version >= 4:
        s.note("b is given an id", s.name({}) or (x := b.c.receive("JoinGroup", b.version, b.sent))["ErrorCode"])
        b.id = x["MemberId"]
        s.names[b.id] = "b"
        b.send_join()
    s.rebalancing(a)
    s.look("preparing")
    s.beat(a)
    s.commit(a, 2)
    s.sync(a, (a, b"x"), words="sync too late")
    s.remove()
    a.send_join()
    s.joined(a), s.joined(b)
    s.note("a leads", a.leads())
    b.send_sync()
    s.beat(a)
    s.sync(a, (a, b"of a"), (b, b"of b"))
    s.synced(b)
    s.look("stable")
    s.commit(a, 3), s.commit(b, 4)
    s.remove()
    b.send_join()
    s.joined(b, "joins again, unchanged")       # a follower: nothing happens
    s.sync(b)
    s.beat(a)
    b.protocols = b.protocols[:1]
    b.send_join()                               # a changed one: a rebalance
    s.rebalancing(a)
    a.send_join()
    s.joined(a), s.joined(b)
    b.send_sync()
    s.sync(a, (a, b"A"), words="syncs without b")
    s.synced(b, "gets nothing")
    s.leave(b)
    s.beat(b), s.beat(a)
    a.send_join()
    s.joined(a), s.sync(a, (a, b"alone"))
    s.leave(a), s.leave(a)
    s.look("empty")
    s.beat(a), s.commit(a, 5), s.sync(a)
    a.send_join()
    s.joined(a, "with its old id")
    a.id, a.generation = "", -1
    s.commit(a, 6)                              # no member any more: anybody may
    s.look("empty, with offsets")
    a.send_join()
    s.joined(a, "anew"), s.sync(a, (a, b"again"))
    s.leave(a)
    s.remove()
    s.look("deleted")


def static(s):
    """Members that have names: gone and back, replaced, fenced."""
    if s.version < 5:
        return
    a = s.member("a", instance="one")
    a.send_join()
    s.joined(a), s.sync(a, (a, b"of one"))
    s.look("stable")
    twin = s.member("twin", instance="one")
    twin.send_join()
    s.joined(twin, "takes over")
    s.sync(twin), s.beat(twin), s.beat(a), s.commit(a, 1), s.sync(a)
    a.send_join()
    s.joined(a, "is fenced")
    s.leave(a)
    third = s.member("third", instance="one", protocols=("roundrobin",))
    third.send_join()
    s.joined(third, "takes over with other protocols")
    s.beat(third)
    s.sync(third, (third, b"x"))
    s.look("after that")
    s.ask("leaves by name", "LeaveGroup", min(s.version, 5), {"GroupId": s.group, "Members": [
        {"MemberId": "", "GroupInstanceId": "nobody"}, {"MemberId": "", "GroupInstanceId": "one"}, {"MemberId": third.id, "GroupInstanceId": "one"}]})
    s.look("empty")


def refused(s):
    """What is refused in a group that has a member."""
    a = s.member("a")
    a.send_join()
    s.joined(a), s.sync(a, (a, b"x"))
    for words, how in (("another type", {"kind": "connect"}), ("no protocol in common", {"protocols": ("other",)}), ("no protocols", {"protocols": ()}),
                       ("short session", {"session": 10}), ("long session", {"session": 1800001})):
        odd = s.member(words, **how)
        odd.send_join()
        s.joined(odd, words)
    for group in ("", f"{s.group}-nobody"):
        for api, last, message in (("Heartbeat", 4, {"GenerationId": 1, "MemberId": a.id}), ("SyncGroup", 4, {"GenerationId": 1, "MemberId": a.id}),
                                   ("OffsetCommit", 8, {"GenerationIdOrMemberEpoch": 1, "MemberId": a.id, "Topics": [
                                       {"Name": T, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 1}]}]}),
                                   ("OffsetDelete", 0, {"Topics": []})):
            s.ask(f"{api} of {group!r}", api, min(s.version, last) or 1 if api == "OffsetCommit" else min(s.version, last), {"GroupId": group, **message})
        s.leave_of = s.ask(f"LeaveGroup of {group!r}", "LeaveGroup", 4, {"GroupId": group, "Members": [{"MemberId": "x"}]})
        s.ask(f"DescribeGroups {group!r}", "DescribeGroups", min(s.version, 5), {"Groups": [group, s.group]})
        s.ask(f"DeleteGroups {group!r}", "DeleteGroups", min(s.version, 2), {"GroupsNames": [group]})
    a.generation += 1
    s.beat(a), s.commit(a, 9), s.sync(a)
    a.generation -= 2
    s.beat(a), s.commit(a, 9), s.sync(a)
    s.look("as it was")


@pytest.mark.parametrize("version", range(10))
@pytest.mark.parametrize("flow", [life, static, refused], ids=lambda f: f.__name__)
def test_every_answer_in_every_state_is_javas(both, kind, flow, version):
    group, logs = f"flow-{uuid.uuid4().hex[:8]}", []
    for b in both:
        s = Script(b, group, version)
        try:
            flow(s)
            s.read()
        finally:
            s.close()
        logs.append(s.log)
    java, ours = logs
    assert [w for w, _ in java] == [w for w, _ in ours]
    bad = [f"{w}: {difference(o, j)}" for (w, j), (_, o) in zip(java, ours) if j != o]
    assert not bad, "\n".join(bad)
