# SPDX-License-Identifier: Apache-2.0
"""Record batches (magic 2), and messages of old clients (magic 0 and 1), as bytes: made for raw Produce requests, read back from .log files and Fetch
answers."""
import gzip
import pathlib
import struct
import zlib
from collections import namedtuple

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
HEADER = struct.Struct(">qiibIhiqqqhii")        # 61 bytes
Batch = namedtuple("Batch", "base_offset length leader_epoch magic crc attributes last_delta first_ts max_ts producer epoch sequence count raw")

_TABLE = []
for _i in range(256):
    for _ in range(8):
        _i = _i >> 1 ^ (0x82F63B78 if _i & 1 else 0)
    _TABLE.append(_i)


def crc32c(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ b) & 0xFF]
    return crc ^ 0xFFFFFFFF


def zigzag(n):
    n = (n << 1) ^ (n >> 63)
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def unzigzag(data, at):
    value = shift = 0
    while True:
        b = data[at]
        at += 1
        value |= (b & 0x7f) << shift
        shift += 7
        if b < 0x80:
            return (value >> 1) ^ -(value & 1), at


def record(delta, value, key=None, ts_delta=0, headers=()):
    def blob(b):
        return zigzag(-1) if b is None else zigzag(len(b)) + b

    body = b"\0" + zigzag(ts_delta) + zigzag(delta) + blob(key) + blob(value) + zigzag(len(headers))
    for name, v in headers:
        body += zigzag(len(name)) + name + blob(v)
    return zigzag(len(body)) + body


def zstd_frame(data):
    """A frame with one block that is not compressed."""
    assert len(data) < 256
    return bytes.fromhex("28b52ffd20") + bytes([len(data)]) + (len(data) << 3 | 1).to_bytes(3, "little") + data


def batch(values, codec="none", first_ts=1_600_000_000_000, base_offset=0, crc=None, attributes=None, producer=-1, epoch=-1, sequence=-1,
          count=None, last_delta=None, payload=None, magic=2):
    """A batch of these values (bytes, or ready records with `payload`)."""
    raw = payload if payload is not None else b"".join(record(i, v) for i, v in enumerate(values))
    if codec == "gzip":
        raw = gzip.compress(raw)
    elif codec == "zstd":
        raw = zstd_frame(raw)
    elif codec != "none":
        raise ValueError(codec)
    n = len(values)
    attributes = CODECS.index(codec) if attributes is None else attributes
    tail = struct.pack(">hiqqqhii", attributes, n - 1 if last_delta is None else last_delta, first_ts, first_ts, producer, epoch, sequence,
                       n if count is None else count) + raw
    return struct.pack(">qiibI", base_offset, 9 + len(tail), -1, magic, crc32c(tail) if crc is None else crc) + tail


def message(value, key=None, magic=1, offset=0, attributes=0, ts=1_600_000_000_000, crc=None):
    """One message of an old client."""
    def blob(b):
        return struct.pack(">i", -1) if b is None else struct.pack(">i", len(b)) + b

    tail = struct.pack(">bB", magic, attributes) + (struct.pack(">q", ts) if magic else b"") + blob(key) + blob(value)
    return struct.pack(">qiI", offset, 4 + len(tail), zlib.crc32(tail) if crc is None else crc) + tail


def messages(values, magic=1, **fields):
    return b"".join(message(v, magic=magic, offset=i, **fields) for i, v in enumerate(values))


def wrapped(values, magic=1, inner_magic=None, **fields):
    """The same, compressed with gzip into one message."""
    inner = messages(values, magic if inner_magic is None else inner_magic)
    return message(gzip.compress(inner), magic=magic, offset=len(values) - 1, attributes=1, **fields)


def batches(data):
    """Takes a run of whole batches apart; a torn last one is left out (Fetch may cut it)."""
    found, at = [], 0
    while at + 61 <= len(data):
        fields = HEADER.unpack_from(data, at)
        end = at + 12 + fields[1]
        if end > len(data):
            break
        found.append(Batch(*fields, data[at:end]))
        at = end
    return found


def legacy(data):
    """Messages of magic 0 and 1 as (offset, magic, attributes, time, key, value), in wrappers too; batches of magic 2 as they are; of one that is cut off, offset, length and what is there
    of it.  The time of the broker (LogAppendTime) is "now"."""
    out, at = [], 0
    while at + 12 <= len(data):
        offset, size = struct.unpack_from(">qi", data, at)
        if at + 12 + size > len(data):
            break
        if data[at + 16] == 2:
            out.append(("batch", data[at:at + 12 + size]))
            at += 12 + size
            continue
        crc, magic, attributes = struct.unpack_from(">IbB", data, at + 12)
        assert magic in (0, 1) and crc == zlib.crc32(data[at + 16:at + 12 + size])
        p, parts = at + 18 + 8 * magic, []
        for _ in range(2):
            n, = struct.unpack_from(">i", data, p)
            parts.append(None if n < 0 else data[p + 4:p + 4 + n])
            p += 4 + max(n, 0)
        assert p == at + 12 + size
        if attributes & 7:
            assert attributes & 7 == 1, "gzip only"
            parts[1] = legacy(gzip.decompress(parts[1]))
        time = None if magic == 0 else "now" if attributes & 8 else struct.unpack_from(">q", data, at + 18)[0]
        out.append((offset, magic, attributes, time, *parts))
        at += 12 + size
    return out + ([("cut", data[at:at + 12], len(data) - at)] if at < len(data) else [])


def opened(data):
    """Records of a Fetch answer, so that two zlibs and the clock do not matter: what is compressed with gzip opened, LogAppendTime "now"."""
    if len(data) > 16 and data[16] < 2:
        return legacy(data)
    found = batches(data)
    if not any(b.attributes & 15 for b in found) or any(b.attributes & 7 > 1 for b in found):
        return data
    return [b._replace(crc=0, length=0, max_ts="now" if b.attributes & 8 else b.max_ts, raw=gzip.decompress(b.raw[61:]) if b.attributes & 7 else b.raw[61:])
            for b in found] + [data[sum(len(b.raw) for b in found):][:12]]


def values(data):
    """(offset, value) of every record in these uncompressed batches."""
    return [(offset, value) for offset, _, value in rows(batches(data))]


def rows(found):
    """(offset, key, value) of every record in these uncompressed batches."""
    out = []
    for b in found:
        assert b.attributes & 7 == 0, "compressed"
        at = 61
        for _ in range(b.count):
            _, at = unzigzag(b.raw, at)
            at += 1
            _, at = unzigzag(b.raw, at)
            delta, at = unzigzag(b.raw, at)
            pair = []
            for _ in range(2):
                n, at = unzigzag(b.raw, at)
                pair.append(None if n < 0 else b.raw[at:at + n])
                at += max(n, 0)
            out.append((b.base_offset + delta, *pair))
            headers, at = unzigzag(b.raw, at)
            for _ in range(headers * 2):
                n, at = unzigzag(b.raw, at)
                at += max(n, 0)
    return out


def stored(directory):
    """Every batch in the .log files of a partition's directory, in order, its CRC checked."""
    found = []
    for path in sorted(pathlib.Path(directory).glob("*.log")):
        data = path.read_bytes().rstrip(b"\0") if path.stat().st_size == 0 else path.read_bytes()
        got = batches(data)
        assert sum(len(b.raw) for b in got) == len(data), f"{path}: a torn batch at the end"
        found += got
    return found


def stored_codecs(directory):
    return {CODECS[b.attributes & 7] for b in stored(directory)}
