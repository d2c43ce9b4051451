# SPDX-License-Identifier: Apache-2.0
"""ZooKeeper's protocol byte by byte, for tests that compare two servers: a request is built once and sent to both."""
import socket
import struct

CREATE, DELETE, EXISTS, GET, SET, GET_ACL, SET_ACL, CHILDREN, SYNC, PING, CHILDREN2, CHECK, MULTI, CREATE2 = 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15
CHECK_WATCHES, REMOVE_WATCHES, CREATE_CONTAINER, CREATE_TTL, MULTI_READ, AUTH, SET_WATCHES, EPHEMERALS, ALL_CHILDREN, SET_WATCHES2 = \
    17, 18, 19, 21, 22, 100, 101, 103, 104, 105
ADD_WATCH, WHO_AM_I, CLOSE, ERROR = 106, 107, -11, -1
OPEN_ACL = [(31, "world", "anyone")]


def i32(n):
    return struct.pack(">i", n)


def i64(n):
    return struct.pack(">q", n)


def buf(b):
    if b is None:
        return i32(-1)
    b = b.encode() if isinstance(b, str) else b
    return i32(len(b)) + b


def vector(items):
    return i32(-1) if items is None else i32(len(items)) + b"".join(items)


def acl(entries):
    return vector(None if entries is None else [i32(p) + buf(s) + buf(i) for p, s, i in entries])


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, fmt):
        values = struct.unpack_from(">" + fmt, self.data, self.at)
        self.at += struct.calcsize(">" + fmt)
        return values[0] if len(values) == 1 else values

    def i32(self):
        return self.take("i")

    def i64(self):
        return self.take("q")

    def bool(self):
        return self.take("?")

    def buf(self):
        n = self.i32()
        if n < 0:
            return None
        self.at += n
        return self.data[self.at - n:self.at]

    def vector(self, fn):
        n = self.i32()
        return None if n < 0 else [fn() for _ in range(n)]

    def stat(self):
        czxid, mzxid, _, _, version, cversion, aversion, owner, length, children, pzxid = self.take("qqqqiiiqiiq")
        return {"zxids": (czxid, mzxid, pzxid), "versions": (version, cversion, aversion), "owner": owner, "sizes": (length, children)}

    def over(self):
        return self.at == len(self.data)


def body(kind, r):
    """The body of an answer, by the type of its request; stats without their times, children sorted: a server keeps them in no order."""
    if kind in (CREATE, SYNC):
        return r.buf()
    if kind in (CREATE2, CREATE_CONTAINER, CREATE_TTL):
        return r.buf(), r.stat()
    if kind in (EXISTS, SET, SET_ACL):
        return r.stat()
    if kind == GET:
        return r.buf(), r.stat()
    if kind == GET_ACL:
        return r.vector(lambda: (r.i32(), r.buf(), r.buf())), r.stat()
    if kind == CHILDREN:
        return sorted(r.vector(r.buf))
    if kind == CHILDREN2:
        return sorted(r.vector(r.buf)), r.stat()
    if kind == EPHEMERALS:
        return sorted(r.vector(r.buf))
    if kind in (ALL_CHILDREN, ADD_WATCH, ERROR):
        return r.i32()
    if kind == WHO_AM_I:
        return sorted(r.vector(lambda: (r.buf(), r.buf())))
    if kind in (MULTI, MULTI_READ):
        results = []
        while True:
            what, done, error = r.i32(), r.bool(), r.i32()
            if done:
                return results
            results.append((what, error, body(what, r)))
    return None


class Peer:
    """One connection and its session."""

    def __init__(self, port, session=0, password=b"\0" * 16, timeout_ms=30000, zxid=0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.rest, self.xid = b"", 0
        self.send(i32(0) + i64(zxid) + i32(timeout_ms) + i64(session) + buf(password) + b"\0")
        r = Reader(self.frame())
        r.i32()
        self.timeout, self.session, self.password = r.i32(), r.i64(), r.buf()

    def send(self, payload):
        self.socket.sendall(i32(len(payload)) + payload)

    def frame(self):
        """The next frame; None: the server has closed."""
        while len(self.rest) < 4 or len(self.rest) < 4 + struct.unpack(">i", self.rest[:4])[0]:
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.rest += more
        n = struct.unpack(">i", self.rest[:4])[0]
        frame, self.rest = self.rest[4:4 + n], self.rest[4 + n:]
        return frame

    def ask(self, kind, payload=b""):
        """-> (the events that came first, the error, the zxid, the body); the error is None when the server closed instead."""
        self.xid += 1
        xid = {PING: -2, AUTH: -4, SET_WATCHES: -8, SET_WATCHES2: -8}.get(kind, self.xid)
        try:
            self.send(i32(xid) + i32(kind) + payload)
        except OSError:
            return [], None, None, None
        events = []
        while (frame := self.frame()) is not None:
            r = Reader(frame)
            got, zxid, error = r.i32(), r.i64(), r.i32()
            if got == -1:
                events.append((r.i32(), r.i32(), r.buf()))
                continue
            assert got == xid, (got, xid)
            answer = None if error or r.over() else body(kind, r)
            assert r.over(), (kind, frame)
            return events, error, zxid, answer
        return events, None, None, None

    def close(self):
        self.socket.close()
