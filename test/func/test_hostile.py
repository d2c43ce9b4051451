# SPDX-License-Identifier: Apache-2.0
"""Every request Java's own code wrote (test/golden/messages), cut short, with flipped bits and with hostile counts: the daemon stays up, others
are served, and memory stays where it was.  A private broker: what is asked for by chance (topics that go, settings that change) is its own."""
import collections
import os
import socket
import struct
import time

import pytest

from harness import env, wire
from harness.proc import memory_kib, wait_until

HOSTILE = [b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe", b"\xff\xff\xff\xff\x07", b"\xff\xff\xff\xff\x0f", b"\x7f\xff", b"\x80\x80\x80\x80\x80\x01",
           b"\0\0\0\0"]


def corpus(keys):
    """-> [(api key, version, the frame without its size)], of the APIs served."""
    headers, frames = {}, []
    for line in open(env.TOP / "test/golden/messages/messages.txt", encoding="ascii"):
        words = line.split()
        if words[:1] == ["api"]:
            first = int(words[3])
            headers[int(words[1])] = {first + i: int(w.split("/")[0]) for i, w in enumerate(words[5:])}
        elif words[:1] == ["request"] and int(words[1]) in keys:
            key, version = int(words[1]), int(words[2])
            flexible = b"\0" if headers[key][version] == 2 else b""
            body = bytes.fromhex(words[4].strip("-")) if len(words) > 4 else b""
            frames.append((key, version, struct.pack(">hhih", key, version, 1, 4) + b"evil" + flexible + body))
    return frames


class Attack:
    """Sends one frame per connection and reads nothing; the last ones stay open a while, so that there is always a crowd."""

    def __init__(self, broker):
        self.broker, self.open, self.sent = broker, collections.deque(), 0
        self.bystander = broker.connect(timeout=30)

    def send(self, data):
        s = socket.create_connection(("127.0.0.1", self.broker.port), 20)
        try:
            s.sendall(data)
        except OSError:
            pass
        self.open.append(s)
        if len(self.open) > 50:
            self.open.popleft().close()
        self.sent += 1
        if self.sent % 100 == 0:
            self.check()

    def frame(self, data):
        self.send(struct.pack(">i", len(data)) + data)

    def check(self):
        assert self.bystander.call("ApiVersions", 0)["ErrorCode"] == 0

    def end(self):
        while self.open:
            self.open.popleft().close()
        self.check()
        self.bystander.close()


@pytest.fixture
def attack(brokers, kind):
    b = brokers(kind).start()
    a = Attack(b)
    memory = memory_kib(b.pid)
    yield a
    a.end()
    with b.connect() as c:
        assert c.call("Metadata", 1, {"Topics": []})["ControllerId"] == b.id
    assert memory_kib(b.pid) - memory < 300_000
    b.stop()        # looks at what the sanitizers said


def served(broker):
    with broker.connect() as c:
        return {k["ApiKey"]: (k["MinVersion"], k["MaxVersion"]) for k in c.call("ApiVersions", 0)["ApiKeys"]}


def seconds(request, short):
    return 10 * short if request.config.getoption("--long") else short


@pytest.mark.only("ottla")
def test_every_request_cut_at_every_byte_harms_nobody(attack, rng, request):
    frames = corpus(served(attack.broker))
    assert len(frames) > 100
    for _, _, data in frames:
        attack.frame(data)
    cuts = [(data, n) for _, _, data in frames for n in range(len(data))]
    rng.shuffle(cuts)
    end = time.monotonic() + seconds(request, 6)
    for i, (data, n) in enumerate(cuts):
        if time.monotonic() > end:
            break
        if i % 4:
            attack.frame(data[:n])      # a frame that ends there
        else:
            attack.send(struct.pack(">i", len(data)) + data[:n])       # a peer that ends there


@pytest.mark.only("ottla")
def test_requests_with_flipped_bits_and_hostile_counts_harm_nobody(attack, rng, request):
    frames = corpus(served(attack.broker))
    end = time.monotonic() + seconds(request, 8)
    while time.monotonic() < end:
        _, _, data = rng.choice(frames)
        data = bytearray(data)
        at = rng.randrange(14, len(data) + 1)
        if rng.random() < 0.5:
            bad = rng.choice(HOSTILE)
            data[at:at + rng.choice([0, 1, len(bad)])] = bad
        else:
            for _ in range(rng.randrange(1, 5)):
                data[rng.randrange(8, len(data))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.1:
            data += data * rng.randrange(1, 200)
        attack.frame(bytes(data))


@pytest.mark.only("ottla")
def test_a_thousand_connections_that_announce_much_and_send_little_cost_little(brokers, kind):
    b = brokers(kind).start()
    memory = memory_kib(b.pid)
    crowd = []
    try:
        for i in range(1000):
            s = socket.create_connection(("127.0.0.1", b.port), 20)
            s.sendall(struct.pack(">i", 100_000_000) + struct.pack(">hhih", 0, 9, 1, 4) + b"slow" + bytes(i % 100))
            crowd.append(s)
        for s in crowd[::7]:
            s.sendall(b"x")
        with b.connect() as c:
            assert c.call("ApiVersions", 0)["ErrorCode"] == 0
        assert memory_kib(b.pid) - memory < 200_000
    finally:
        for s in crowd:
            s.close()
    fds = f"/proc/{b.pid}/fd"
    wait_until(lambda: len(os.listdir(fds)) < 100, 30, "the sockets to be closed")
    b.stop()


@pytest.mark.only("ottla")
def test_peers_that_ask_and_never_read_cost_little(attack, rng):
    """Answers pile up at the peer, not in the daemon."""
    whole = wire.request_header("ApiVersions", 0, 1)
    flood = (struct.pack(">i", len(whole)) + whole) * 2000
    crowd = []
    for _ in range(20):
        s = socket.create_connection(("127.0.0.1", attack.broker.port), 20)
        s.setblocking(False)
        try:
            for _ in range(50):
                s.send(flood)
        except BlockingIOError:
            pass
        crowd.append(s)
    attack.check()
    for s in crowd:
        s.close()
