# SPDX-License-Identifier: Apache-2.0
"""Kafka's protocol from the other side: a codec driven by the message definitions inside the Java client's jar.

Messages are dicts with the field names of those definitions; a field that is absent is its default.  Every API and version that Java knows
can be sent, well formed or not, and every answer taken apart down to the last byte, independently of our own tables."""
import functools
import itertools
import json
import re
import socket
import struct
import uuid as uuidlib
import zipfile

from . import env

INTS = {"int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "float64": ">d"}


class Malformed(Exception):
    pass


class Closed(Exception):
    """The peer closed the connection."""


# ---- definitions ----------------------------------------------------------------------------------------------------------------------
@functools.lru_cache(None)
def definitions():
    """-> ({(api name, "request"|"response"): definition}, {api key: api name})"""
    jar = next(env.need_jars().glob("kafka-clients-*.jar"))
    found, names = {}, {}
    with zipfile.ZipFile(jar) as z:
        for entry in z.namelist():
            if entry.startswith("common/message/") and entry.endswith(".json"):
                d = json.loads(re.sub(r"^\s*//.*$", "", z.read(entry).decode(), flags=re.M))
                if d["type"] in ("request", "response"):
                    name = d["name"][:-len(d["type"])]
                    found[name, d["type"]] = d
                    names[d["apiKey"]] = name
    return found, names


def api_key(name):
    return definitions()[0][name, "request"]["apiKey"]


def api_name(key):
    return definitions()[1][key]


def span(text):
    if not text or text == "none":
        return range(0)
    if text.endswith("+"):
        return range(int(text[:-1]), 32768)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def valid_versions(name):
    return span(definitions()[0][name, "request"]["validVersions"])


def flexible(definition, version):
    return version in span(definition.get("flexibleVersions", "none"))


class Codec:
    """One message type at one version."""

    def __init__(self, definition, version):
        self.version, self.flex = version, flexible(definition, version)
        self.fields = definition["fields"]
        self.structs = {s["name"]: s["fields"] for s in definition.get("commonStructs", [])}
        self.collect(self.fields)

    def collect(self, fields):
        for f in fields:
            if "fields" in f:
                self.structs[f["type"].removeprefix("[]")] = f["fields"]
                self.collect(f["fields"])

    def default(self, f):
        text, kind = f.get("default"), f["type"]
        if text == "null":
            return None
        if kind.startswith("[]"):
            return []
        if kind in ("string",):
            return text or ""
        if kind in ("bytes", "records"):
            return b""
        if kind == "bool":
            return str(text).lower() == "true"
        if kind == "uuid":
            return uuidlib.UUID(int=0)
        if kind == "float64":
            return float(text or 0)
        if kind in INTS:
            return int(str(text or "0"), 0)
        return {}

    # ---- out
    def encode(self, value):
        out = bytearray()
        self.put_struct(out, self.fields, value)
        return bytes(out)

    def put_struct(self, out, fields, value):
        known = {f["name"] for f in fields}
        if set(value) - known:
            raise KeyError(f"no such field: {set(value) - known}; there is {known}")
        tagged = {}
        for f in fields:
            v = value.get(f["name"], self.default(f))
            if self.version in span(f.get("taggedVersions")):
                if v != self.default(f):
                    part = bytearray()
                    self.put(part, f, f["type"], v)
                    tagged[f["tag"]] = bytes(part)
            elif self.version in span(f["versions"]):
                self.put(out, f, f["type"], v)
        if self.flex:
            out += varint(len(tagged))
            for tag in sorted(tagged):
                out += varint(tag) + varint(len(tagged[tag])) + tagged[tag]

    def put(self, out, f, kind, v):
        if kind.startswith("[]"):
            self.put_length(out, None if v is None else len(v), 4)
            for item in v or ():
                self.put(out, {}, kind[2:], item)
        elif kind in ("string", "bytes", "records"):
            raw = v.encode() if isinstance(v, str) else v
            self.put_length(out, None if raw is None else len(raw), 2 if kind == "string" else 4,
                            self.flex and f.get("flexibleVersions") != "none")
            out += raw or b""
        elif kind == "bool":
            out += b"\1" if v else b"\0"
        elif kind == "uuid":
            out += v.bytes
        elif kind in INTS:
            out += struct.pack(INTS[kind], v)
        else:
            if f.get("nullableVersions") and self.version in span(f["nullableVersions"]):
                out += struct.pack(">b", -1 if v is None else 1)
                if v is None:
                    return
            self.put_struct(out, self.structs[kind], v)

    def put_length(self, out, n, width, flex=None):
        if self.flex if flex is None else flex:
            out += varint(0 if n is None else n + 1)
        else:
            out += struct.pack(">h" if width == 2 else ">i", -1 if n is None else n)

    # ---- in
    def decode(self, data):
        """-> the message; Malformed when bytes are missing or left over."""
        r = Reader(data)
        value = self.get_struct(r, self.fields)
        if r.left():
            raise Malformed(f"{r.left()} bytes left over")
        return value

    def get_struct(self, r, fields):
        value, tags = {}, {}
        for f in fields:
            if self.version in span(f.get("taggedVersions")):
                tags[f["tag"]] = f
                value[f["name"]] = self.default(f)
            elif self.version in span(f["versions"]):
                value[f["name"]] = self.get(r, f, f["type"])
        if self.flex:
            last = -1
            for _ in range(r.varint()):
                tag, n = r.varint(), r.varint()
                if tag <= last:
                    raise Malformed(f"tag {tag} after {last}")
                last = tag
                part = Reader(r.take(n))
                if tag in tags:
                    value[tags[tag]["name"]] = self.get(part, tags[tag], tags[tag]["type"])
                    if part.left():
                        raise Malformed(f"bytes left over in tag {tag}")
                else:
                    value[f"unknown tag {tag}"] = part.data
        return value

    def get(self, r, f, kind):
        if kind.startswith("[]"):
            n = self.get_length(r, 4, self.flex)
            return None if n is None else [self.get(r, {}, kind[2:]) for _ in range(n)]
        if kind in ("string", "bytes", "records"):
            n = self.get_length(r, 2 if kind == "string" else 4, self.flex and f.get("flexibleVersions") != "none")
            raw = None if n is None else r.take(n)
            return raw.decode() if kind == "string" and raw is not None else raw
        if kind == "bool":
            return r.take(1) != b"\0"
        if kind == "uuid":
            return uuidlib.UUID(bytes=r.take(16))
        if kind in INTS:
            return struct.unpack(INTS[kind], r.take(struct.calcsize(INTS[kind])))[0]
        if f.get("nullableVersions") and self.version in span(f["nullableVersions"]) and struct.unpack(">b", r.take(1))[0] < 0:
            return None
        return self.get_struct(r, self.structs[kind])

    def get_length(self, r, width, flex):
        if flex:
            n = r.varint() - 1
        else:
            n = struct.unpack(">h" if width == 2 else ">i", r.take(width))[0]
        if n < -1 or n > r.left():
            raise Malformed(f"length {n} with {r.left()} bytes left")
        return None if n == -1 else n


class Reader:
    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        if n > self.left():
            raise Malformed(f"{n} bytes wanted, {self.left()} left")
        self.at += n
        return self.data[self.at - n:self.at]

    def varint(self):
        value = shift = 0
        while True:
            b = self.take(1)[0]
            value |= (b & 0x7f) << shift
            if b < 0x80:
                return value
            shift += 7


def varint(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


@functools.lru_cache(None)
def codec(name, what, version):
    return Codec(definitions()[0][name, what], version)


def request_header(name, version, correlation, client_id="test"):
    definition = definitions()[0][name, "request"]
    out = struct.pack(">hhi", definition["apiKey"], version, correlation)
    if name == "ControlledShutdown" and version == 0:
        return out
    raw = client_id.encode()
    return out + struct.pack(">h", len(raw)) + raw + (b"\0" if flexible(definition, version) else b"")


def decode_response(name, version, frame):
    """frame: what follows the size.  -> (correlation id, message)"""
    r = Reader(frame)
    correlation = struct.unpack(">i", r.take(4))[0]
    if name != "ApiVersions" and flexible(definitions()[0][name, "response"], version):
        for _ in range(r.varint()):
            r.varint()
            r.take(r.varint())
    return correlation, codec(name, "response", version).decode(frame[r.at:])


class Connection:
    """One TCP connection that sends whatever it is told to."""

    def __init__(self, host, port, timeout=30):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sequence = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send_bytes(self, data):
        self.sock.sendall(data)

    def send_frame(self, payload):
        self.send_bytes(struct.pack(">i", len(payload)) + payload)

    def send(self, name, version, message):
        """-> the correlation id"""
        correlation = next(self.sequence)
        self.send_frame(request_header(name, version, correlation) + codec(name, "request", version).encode(message))
        return correlation

    def receive_bytes(self, n):
        data = bytearray()
        while len(data) < n:
            try:
                more = self.sock.recv(n - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed(f"after {len(data)} of {n} bytes")
            data += more
        return bytes(data)

    def receive_frame(self):
        return self.receive_bytes(struct.unpack(">i", self.receive_bytes(4))[0])

    def receive(self, name, version, correlation=None):
        got, message = decode_response(name, version, self.receive_frame())
        assert correlation in (None, got), f"answer to {got}, not to {correlation}"
        return message

    def call(self, name, version, message=None):
        return self.receive(name, version, self.send(name, version, message or {}))

    def closed_within(self, seconds):
        """The peer closes without another byte."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False
