# SPDX-License-Identifier: Apache-2.0
"""A broker that says whatever a test wants: answers are messages, made by functions, encoded by Kafka's own definitions."""
import contextlib
import socket
import struct
import threading

from . import wire

LAST = {"Metadata": 9, "FindCoordinator": 3, "DescribeGroups": 5, "OffsetFetch": 7, "ListOffsets": 7, "OffsetCommit": 8, "OffsetDelete": 0,
        "DeleteGroups": 2, "ListGroups": 4, "Fetch": 12, "CreateTopics": 7, "CreatePartitions": 3, "DeleteTopics": 6, "DescribeConfigs": 4,
        "IncrementalAlterConfigs": 1}


class FakeBroker:
    """answers: {API: message, bytes (the body as it is) or a function of (version, request) that gives one}.  Metadata, FindCoordinator and
    ApiVersions have answers of their own that name this broker, number 1, and the topics given: {name: partitions}."""

    def __init__(self, answers=None, topics=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.address, self.topics, self.asked = f"127.0.0.1:{self.port}", topics or {}, []
        self.answers = {"ApiVersions": self.versions, "Metadata": self.metadata, "FindCoordinator": {"NodeId": 1, "Host": "127.0.0.1", "Port": self.port},
                        **(answers or {})}
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def versions(self, version, request):
        return {"ApiKeys": [{"ApiKey": wire.api_key(n), "MinVersion": 0, "MaxVersion": last} for n, last in LAST.items()]}

    def metadata(self, version, request):
        return {"Brokers": [{"NodeId": 1, "Host": "127.0.0.1", "Port": self.port}], "ControllerId": 1, "Topics": [
            {"Name": t, "Partitions": [{"PartitionIndex": i, "LeaderId": 1, "ReplicaNodes": [1], "IsrNodes": [1]} for i in range(n)]}
            for t, n in self.topics.items()]}

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, s):
        with s, contextlib.suppress(OSError, EOFError, struct.error), s.makefile("rb") as f:
            while True:
                data = f.read(struct.unpack(">i", f.read(4))[0])
                key, version, correlation, n = struct.unpack(">hhih", data[:10])
                name = wire.api_name(key)
                if name == "ApiVersions" and version > 0:
                    version, error = 0, {"ErrorCode": 35}
                else:
                    error = {}
                flexible = wire.flexible(wire.definitions()[0][name, "request"], version)
                request = {} if name == "ApiVersions" else wire.codec(name, "request", version).decode(data[10 + max(n, 0) + flexible:])
                self.asked.append((name, request))
                answer = self.answers[name]
                if callable(answer):
                    answer = answer(version, request)
                if not isinstance(answer, bytes):
                    answer = wire.codec(name, "response", version).encode({**answer, **error})
                tags = b"\0" if name != "ApiVersions" and wire.flexible(wire.definitions()[0][name, "response"], version) else b""
                s.sendall(struct.pack(">ii", 4 + len(tags) + len(answer), correlation) + tags + answer)
