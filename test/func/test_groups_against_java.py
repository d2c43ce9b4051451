# SPDX-License-Identifier: Apache-2.0
"""Groups through all their states, step by step, on Java and on the broker under test: every answer the same, field by field.

Which member leads and in which order members are listed is fixed by the order in which they come; ids are named by who has them."""
import collections
import concurrent.futures
import itertools
import random
import re
import select
import struct
import time
import uuid

import pytest

from harness import java, pair as pairs
from harness.groups import Member, ready, subscription, written
from harness.pair import difference, normalise
from harness.proc import wait_until

pytestmark = pytest.mark.zookeeper

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


# ---- when time is up --------------------------------------------------------------------------------------------------------------------
DELAY = 2.0         # seconds, of the first generation of a group
SHORT = 2500        # ms: a time-out that is waited for; a step that has to come before takes a few milliseconds


class Timed(Script):
    """A script in which somebody is late.  Waits end with an answer or with what can be seen, and only then anything is noted; so what a broker says
    depends on the order of things and not on how fast they are."""

    def listed(self):
        return self.c.call("DescribeGroups", min(self.version, 5), {"Groups": [self.group]})["Groups"][0]["Members"]

    def asks(self, m):
        """Joins; with an id where one is needed.  Who is new is in the group when this returns."""
        before = len(self.listed())
        new = not m.id
        m.send_join()
        if new and self.version >= 4 and not m.instance:
            a = m.c.receive("JoinGroup", m.version, m.sent)
            self.names[a["MemberId"]], m.id = m.letter, a["MemberId"]
            self.note(f"{m.letter} is given an id", a)
            m.send_join()
        if new:
            wait_until(lambda: len(self.listed()) > before, 10)

    def gather(self, new, *others, **how):
        """`new` comes, the others come again, all with other time-outs if told so; nobody syncs."""
        for m in (new, *others):
            m.__dict__.update(how)
        self.asks(new)
        for m in others:
            self.rebalancing(m)
        for m in others:
            m.send_join()
        for m in (*others, new):
            self.joined(m)

    def settles(self, leader, *others):
        for m in others:
            m.send_sync()
        self.sync(leader, *[(m, f"of {m.letter}".encode()) for m in (leader, *others)])
        for m in others:
            self.synced(m)

    def alone(self, m):
        self.asks(m)
        self.joined(m)
        self.sync(m, (m, b"alone"))

    def members(self):
        """Who is in it, as letters."""
        return "".join(sorted(self.names[m["MemberId"]] for m in self.listed()))

    def shrinks(self, *steps):
        """The group has these members, then those, and so on; a step may be too short to be seen, but nothing else is."""
        seen = []

        def last():
            found = self.members()
            if found not in seen[-1:]:
                seen.append(found)
            return found == steps[-1] or found not in steps

        wait_until(last, 30, f"members {steps}, seen: {seen}")
        left = iter(steps)
        assert all(x in left for x in seen), f"{seen}, not {steps}"

    def gone(self, m):
        """What somebody hears who is no member any more."""
        self.beat(m), self.commit(m, 1), self.sync(m)
        m.send_join()
        self.joined(m, "joins with its old id")


def waited(began, seconds):
    """At least so long, but for what two clocks of milliseconds lose."""
    assert time.monotonic() - began >= seconds - 0.02


def changed(m):
    m.protocols = [dict(p, Metadata=subscription(T, "more")) for p in m.protocols]


def session(s):
    """Two fall silent, for good; the second while the group waits for the third."""
    a, b, c = s.member("a"), s.member("b"), s.member("c")
    s.alone(a)
    s.gather(b, a), s.settles(a, b)
    s.gather(c, a, b), s.settles(a, b, c)
    b.session, c.session = 2000, 5000
    changed(c)                  # so that all join again, and their new sessions begin
    c.send_join()
    s.rebalancing(a), s.rebalancing(b)
    b.send_join(), a.send_join()
    s.joined(a), s.joined(b), s.joined(c)
    s.settles(a, b, c)
    s.shrinks("abc", "ac", "a")
    s.beat(a)
    for m in (b, c):
        s.gone(m)
    s.look("only a is left")
    a.send_join()
    s.joined(a), s.sync(a, (a, b"all"))


def rebalance(s):
    """Of those who do not come again in time, the one with a name stays, for as long as it takes to ask for an assignment."""
    a, b, d = s.member("a"), s.member("b"), s.member("d")
    c = s.member("c", instance="one" if s.version >= 5 else None)
    s.alone(a)
    s.gather(b, a), s.settles(a, b)
    s.gather(c, a, b, rebalance=SHORT), s.settles(a, b, c)
    d.rebalance = SHORT
    s.asks(d)
    s.rebalancing(a), s.rebalancing(b), s.rebalancing(c)
    a.send_join()
    s.joined(a, "came again"), s.joined(d, "is new")
    s.look("the others are out")
    s.settles(a, d)
    s.gone(b)
    if c.instance:
        s.beat(c)
        s.rebalancing(a), s.rebalancing(d)
        s.look("nor does it ask what it was assigned")
    s.gone(c)


def rebalance_of_a_leader_with_a_name(s):
    """It stays, and another one leads.  (There is only one: of several Java takes whom its hash table has first.)"""
    if s.version < 5:
        return
    a, b = s.member("a", instance="one", rebalance=SHORT), s.member("b", rebalance=SHORT)
    s.alone(a)
    s.asks(b)
    s.rebalancing(a)
    s.joined(b)
    s.look("completing")
    s.sync(b, (a, b"kept for a"), (b, b"B"))
    s.look("stable")
    s.beat(a), s.sync(a)


def silent_while_it_joins(s):
    """Whoever waits for others is alive, though its session is shorter than that."""
    a, b = s.member("a"), s.member("b")
    s.alone(a)
    s.gather(b, a, rebalance=SHORT), s.settles(a, b)
    a.session = SHORT // 2
    a.send_join()
    s.rebalancing(b)
    s.joined(a, "waited for b")
    s.beat(b)


def sync(s):
    """One never asks what it was assigned, though it is alive."""
    a, b, c = s.member("a"), s.member("b"), s.member("c")
    s.alone(a)
    s.gather(b, a), s.settles(a, b)
    s.gather(c, a, b, rebalance=SHORT)
    b.send_sync()
    s.sync(a, (a, b"A"), (b, b"B"), (c, b"C")), s.synced(b)
    s.beat(c)
    s.rebalancing(a), s.rebalancing(b)
    s.look("c is out")
    s.gone(c)
    b.send_join(), a.send_join()
    s.joined(a), s.joined(b)
    s.settles(a, b)


def sync_of_the_leader(s):
    """The leader never brings the assignment."""
    a, b, c = s.member("a"), s.member("b"), s.member("c")
    s.alone(a)
    s.gather(b, a), s.settles(a, b)
    s.gather(c, a, b, rebalance=SHORT)
    b.send_sync()
    s.synced(b, "waited in vain")
    s.rebalancing(b)
    s.look("the leader is out, and who had not asked")
    s.gone(a), s.gone(c)
    b.send_join()
    s.joined(b), s.sync(b, (b, b"all"))


def pending(s):
    """A rebalance waits for an id that was given out, until it expires."""
    if s.version < 4:
        return
    a, p = s.member("a"), s.member("p", session=1500)
    s.alone(a)
    began = time.monotonic()
    p.send_join()
    x = p.c.receive("JoinGroup", p.version, p.sent)
    s.names[x["MemberId"]], p.id = "p", x["MemberId"]
    s.note("p is given an id", x)
    a.send_join()
    s.joined(a, "waited for p")
    waited(began, 1.5)
    s.sync(a, (a, b"all"))
    p.send_join()
    s.joined(p, "is too late")


def session_of_one_with_a_name(s):
    """It is out like any other, and comes back as somebody new."""
    if s.version < 5:
        return
    a, b = s.member("a"), s.member("b", instance="one")
    s.alone(a)
    s.gather(b, a), s.settles(a, b)
    b.session = 2000
    changed(b)
    s.gather(b, a)
    s.settles(a, b)
    s.shrinks("ab", "a")
    s.look("b is out")
    s.beat(b), s.commit(b, 1), s.sync(b)
    again = s.member("c", instance="one", session=60000)
    s.gather(again, a), s.settles(a, again)
    s.beat(b)


def delay(s):
    """Those who come while a new group waits are of its first generation, for which it waits longer."""
    a, b = s.member("a"), s.member("b")
    began = time.monotonic()
    s.asks(a), s.asks(b)
    s.joined(a), s.joined(b)
    waited(began, 2 * DELAY)
    s.settles(a, b)
    s.look("stable")


def delay_of_one(s):
    """It waits once, again when the group was empty meanwhile, and never longer than a rebalance may take."""
    a = s.member("a")
    for least in (DELAY, 1.0):
        began = time.monotonic()
        s.alone(a)
        waited(began, least)
        s.leave(a)
        a.id, a.rebalance = "", 1000
    s.look("empty")


TIMED = (session, rebalance, rebalance_of_a_leader_with_a_name, silent_while_it_joins, sync, sync_of_the_leader, pending, session_of_one_with_a_name, delay,
         delay_of_one)


@pytest.fixture(scope="module")
def stories(kind, real_zk, tmp_path_factory):
    """{(flow, version): what each of the two brokers has to say of it}: all of them at once, as they do nothing but wait"""
    made = []
    try:
        pairs.start(made, ("java", kind), tmp_path_factory.mktemp, real_zk.address,
                    {"group.min.session.timeout.ms": 500, "group.initial.rebalance.delay.ms": int(DELAY * 1000)}, name="timed")
        for b in made:
            ready(b)

        run = uuid.uuid4().hex[:8]

        def tell(b, flow, version):
            s = Timed(b, f"{flow.__name__}-{version}-{run}", version)
            try:
                flow(s)
                s.read()
                return s.log
            finally:
                s.close()

        all_of_them = list(itertools.product(TIMED, (1, 9)))
        with concurrent.futures.ThreadPoolExecutor(2 * len(all_of_them)) as pool:
            yield {(f, v): [pool.submit(tell, b, f, v) for b in made] for f, v in all_of_them}
    finally:
        for b in made:
            b.cleanup()


@pytest.mark.parametrize("version", (1, 9))
@pytest.mark.parametrize("flow", TIMED, ids=lambda f: f.__name__)
def test_who_is_late_is_treated_as_by_java(stories, kind, flow, version):
    java, ours = (told.result() for told in stories[flow, version])
    assert [w for w, _ in java] == [w for w, _ in ours]
    bad = [f"{w}: {difference(o, j)}" for (w, j), (_, o) in zip(java, ours) if j != o]
    assert not bad, "\n".join(bad)


# ---- kafka-consumer-groups ----------------------------------------------------------------------------------------------------------------
LINES = """--list
--list --type
--list --type classic
--list --type consumer
--list --type nonsense
--list --state
--list --state Stable
--list --state stable,EMPTY
--list --state CompletingRebalance
--list --state PreparingRebalance
--list --state Dead
--list --state nonsense
--list --state --type
--list --state Empty --type classic
--describe --all-groups
--describe --all-groups --offsets --verbose
--describe --all-groups --members
--describe --all-groups --members --verbose
--describe --all-groups --state
--describe --group stable --group empty --state
--describe --group nobody
--describe --group nobody --members
--describe --group nobody --state
--reset-offsets --all-groups --all-topics --to-earliest --dry-run
--reset-offsets --all-groups --topic topic.of.both:0 --shift-by 1 --execute
--reset-offsets --group nobody --topic topic.of.both --to-latest --execute
--reset-offsets --group stable --all-topics --to-latest --execute
--delete-offsets --group empty --topic topic.of.both --topic topic.of.nobody
--delete-offsets --group stable --topic topic.of.both
--delete-offsets --group nobody --topic topic.of.both
--delete --group stable
--delete --group nobody
--describe --all-groups --verbose
--delete --all-groups
--list --state""".splitlines()


def groups_in_every_state(b, open_members):
    """Of T, which has three partitions and ten records in the first.  A rebalance is on its way in two of them as long as nobody syncs or joins."""
    def member(group, **how):
        m = Member(b, group, **{"session": 300000, "rebalance": 300000, "topics": (T,), **how})
        open_members.append(m)
        return m

    m = member("stable", instance="static")
    m.join()
    share = struct.pack(">hih", 1, 1, len(T)) + T.encode() + struct.pack(">iiii", 2, 0, 1, -1)
    m.sync([(m.id, share)])
    assert m.commit(T, 0, 4) == m.commit(T, 2, 0) == 0
    member("completing").join()
    first, second = member("preparing", version=3), member("preparing", version=3)
    first.join()
    first.sync([(first.id, share)])
    second.send_join()
    wait_until(lambda: first.heartbeat() == 27, 10)
    m = member("connecting", kind="connect", protocols=("compatible",))
    m.join()
    m.sync([(m.id, b"of no consumer")])
    with b.connect() as c:
        c.call("OffsetCommit", 8, {"GroupId": "empty", "Topics": [{"Name": T, "Partitions": [{"PartitionIndex": p, "CommittedOffset": 7} for p in (0, 1)]}]})


def test_kafka_consumer_groups_prints_the_same(brokers, kind):
    """Of groups in every state, all at once: lists by state and type, descriptions, resets and deletions, refusals too."""
    made, open_members = [brokers("java", broker_id=1), brokers(kind, broker_id=1)], []
    try:
        for b in made:
            b.launch()
        for b in made:
            b.wait_ready()
            b.create_topic(T, partitions=3)
            pairs.fill(b, T)
            groups_in_every_state(ready(b), open_members)
        text = java.program("ConsumerGroups", *(f"--bootstrap-server {b.address} {line}" for b in made for line in LINES))
    finally:
        for m in open_members:
            m.close()
    said = [part.splitlines() for part in text.split("\n> ")[1:]]
    assert len(said) == 2 * len(LINES), text

    def of(b, lines):
        """The order of groups, members and partitions is that of a hash table."""
        return sorted(" ".join(re.sub("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", line.replace(b.address, "ADDRESS")).split()) for line in lines[1:])

    bad = []
    for line, theirs, ours in zip(LINES, said, said[len(LINES):]):
        theirs, ours = of(made[0], theirs), of(made[1], ours)
        if line == "--list --state":
            assert {"completing CompletingRebalance", "preparing PreparingRebalance", "stable Stable"} <= {*theirs}
        if theirs != ours:
            bad.append(f"{line}\n  Java {theirs}\n  ours {ours}")
    assert not bad, "\n".join(bad)


# ---- at random --------------------------------------------------------------------------------------------------------------------------
class Walker(Script):
    """One of the two brokers on a random walk: five clients, two of which claim the same instance id."""

    def __init__(self, broker, group, versions):
        super().__init__(broker, group, 9)
        self.waiting, self.count = {}, itertools.count(1)
        self.m = {letter: self.member(letter, instance="one" if letter in "st" else None) for letter in versions}
        for letter, v in versions.items():
            self.m[letter].version = v

    def answered(self):
        found, _, _ = select.select([self.m[x].c.sock for x in self.waiting], [], [], 0)
        return {x for x in self.waiting if self.m[x].c.sock in found}

    def seen(self):
        a = in_order(normalise(self.broker, self.name(self.c.call("DescribeGroups", 5, {"Groups": [self.group]}))))
        self.size, self.state = len(a["Groups"][0]["Members"]), a["Groups"][0]["GroupState"]
        return a

    def hear(self, letter):
        m = self.m[letter]
        if self.waiting.pop(letter) == "sync":
            return self.note(f"{letter} synced", m.receive_sync())
        a = m.c.receive("JoinGroup", m.version, m.sent)
        if a["MemberId"]:
            self.names.setdefault(a["MemberId"], f"{letter}{next(self.count)}")
        self.note(f"{letter} joined", a)
        if a["ErrorCode"] == 0:
            m.id, m.generation, m.leader, m.others = a["MemberId"], a["GenerationId"], a["Leader"], a["Members"]
        elif a["ErrorCode"] == 79:
            m.id = a["MemberId"]
        elif a["ErrorCode"] in (25, 82):
            m.id, m.generation = "", -1
        return None

    # the steps
    def join(self, letter):
        self.waiting[letter] = "join"
        self.m[letter].send_join()

    def start_sync(self, letter, some):
        m = self.m[letter]
        self.waiting[letter] = "sync"
        m.send_sync([(x["MemberId"], f"{m.generation} of {self.names.get(x['MemberId'])}".encode()) for x in m.others if some or x["MemberId"] == m.id] if m.leads() else ())

    def heartbeat(self, letter, generation):
        m = self.m[letter]
        m.generation += generation
        self.beat(m)
        m.generation -= generation

    def commits(self, letter, offset, version):
        m = self.m[letter]
        self.note(f"{letter} commit {version}", m.commit(T, offset % 2, offset, f"{offset}", max(version, 7) if m.instance else version))

    def goes(self, letter, named):
        m = self.m[letter]
        self.ask(f"{letter} leaves", "LeaveGroup", 4, {"GroupId": self.group, "Members": [{"MemberId": "" if named else m.id, "GroupInstanceId": m.instance}]})

    def changes(self, letter, protocols, topics):
        self.m[letter].protocols = [{"Name": p, "Metadata": subscription(*topics)} for p in protocols]

    def fetch(self, version):
        self.ask("offsets", "OffsetFetch", version, {"GroupId": self.group, "Topics": None})


def settle(sides, words):
    """Until both have answered the same members and describe the group alike; what was answered is read and noted."""
    end = time.monotonic() + 8
    time.sleep(0.008)
    while True:
        answered, seen = [s.answered() for s in sides], [s.seen() for s in sides]
        if answered[0] == answered[1] and seen[0] == seen[1]:
            break
        assert time.monotonic() < end, f"{words}: {difference(seen[1], seen[0])}; answered: Java {answered[0]}, ours {answered[1]}"
        time.sleep(0.005)
    for s in sides:
        for letter in sorted(answered[0]):
            s.hear(letter)


def choose(rng, s, step):
    """A step that is possible on `s`, and so on both: (its name, arguments)."""
    letter = rng.choice([*s.m])
    m, waits = s.m[letter], s.waiting.get(letter)
    # Of several that are left Java takes whichever leader its hash table has first; whose sync waits when it leaves it forgets.
    goes = waits != "sync" and (m.id or m.instance) and (s.size <= 2 or not m.leads() and not m.instance)
    what = rng.choices(["join", "start_sync", "heartbeat", "commits", "goes", "changes", "fetch", "delete"], [30, 30, 10, 10, 6, 5, 3, 2])[0]
    if what == "goes":
        return ("goes", letter, bool(m.instance) and rng.random() < 0.5) if goes else None
    if what == "fetch":
        return "fetch", rng.randrange(2, 8)
    if what == "delete":
        return ("remove",)
    if waits:
        return None
    return {"join": ("join", letter), "start_sync": ("start_sync", letter, rng.random() < 0.7), "heartbeat": ("heartbeat", letter, rng.choice([0, 0, 0, -1, 1])),
            "commits": ("commits", letter, step, rng.randrange(1, 9)),
            "changes": ("changes", letter, rng.choice([("range", "roundrobin"), ("range",), ("roundrobin",)]), rng.choice([(T,), (T, "x"), ("x",)]))}[what]


def walk(both, rng, steps, met):
    """`met`: counts of the group's states and of the errors in the answers."""
    group, versions = f"walk-{uuid.uuid4().hex[:8]}", {x: rng.randrange(5 if x in "st" else 0, 10) for x in "abcst"}
    sides, done = [], []
    try:
        for b in both:
            sides.append(Walker(b, group, versions))
        settle(sides, "at first")
        for step in range(steps):
            chosen = choose(rng, sides[1], step)
            if chosen is None:
                continue
            done.append(chosen)
            for s in sides:
                getattr(s, chosen[0])(*chosen[1:])
            words = f"versions {versions}, {done[-25:]}"
            settle(sides, words)
            java, ours = (s.log for s in sides)
            met.update([sides[1].state, *(a if isinstance(a, int) else a.get("ErrorCode") for _, a in ours if not isinstance(a, list))])
            bad = [f"{w}: {difference(o, j)}" for (w, j), (_, o) in zip(java, ours) if j != o]
            assert len(java) == len(ours) and not bad, f"{words}: {bad}"
            for s in sides:
                s.log.clear()
        for s in sides:
            s.read()
        assert sides[0].log == sides[1].log, difference(sides[1].log, sides[0].log)
    finally:
        for s in sides:
            s.close()


@pytest.mark.parametrize("walks,steps", [pytest.param(2, 120, id="two"), pytest.param(12, 300, id="long", marks=[pytest.mark.long, pytest.mark.timeout(1500)])])
def test_random_members_are_answered_as_java_does(both, kind, rng, walks, steps):
    met = collections.Counter()
    for n in range(walks):
        seed = rng.randrange(1 << 32) if walks > 2 else 7 + n
        print("seed", seed)
        walk(both, random.Random(seed), steps, met)
    print(met)
    assert {"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", 0, 22, 23, 25, 27, 79, 82} <= {*met}, met
