# SPDX-License-Identifier: Apache-2.0
"""ROWS=quick: start, produce, consume, single requests, memory; a first look, without limits.

The client speaks the protocol itself, sends batches that were made beforehand, five in flight on each of two connections, and throws away what
it fetches.

	start		exec to the first Metadata answer that names the controller, and to the first acknowledged record
	produce		throughput, and the broker's CPU seconds (user and system, with its children) per GB
	consume		the same from the beginning of the topic, out of the page cache
	single		one record of 100 bytes per request, acks=1, one connection, the next after the answer: rate, median, CPU per request
	memory		RssAnon + RssShmem, idle after the start and after all of this

Before each measurement the broker is warmed up on the same work (Java's compiler needs it)."""
import os
import statistics
import struct
import threading
import time

from harness import records, wire
from harness.broker import make_broker
from harness.proc import wait_until

GB = 1e9
IN_FLIGHT = 5
ROWS = [    # (key, words, unit, better when, at most this share of Java's)
    ("start_metadata", "start to first metadata", "ms", "low", None),
    ("start_record", "start to first acknowledged record", "ms", "low", None),
    ("produce_rate", "produce", "MB/s", "high", None),
    ("produce_cpu", "produce, broker CPU", "s/GB", "low", None),
    ("consume_rate", "consume", "MB/s", "high", None),
    ("consume_cpu", "consume, broker CPU", "s/GB", "low", None),
    ("single_rate", "single-record requests", "1/s", "high", None),
    ("single_median", "single-record request, median", "us", "low", None),
    ("single_cpu", "single-record request, broker CPU", "us", "low", None),
    ("memory_idle", "memory, idle", "MiB", "low", None),
    ("memory_loaded", "memory, after load", "MiB", "low", None),
]


def produce_request(topic, partition, data, correlation=1, acks=1):
    body = wire.codec("Produce", "request", 7).encode({"Acks": acks, "TimeoutMs": 30000, "TopicData": [
        {"Name": topic, "PartitionData": [{"Index": partition, "Records": data}]}]})
    frame = wire.request_header("Produce", 7, correlation) + body
    return struct.pack(">i", len(frame)) + frame


def on_each_partition(n, function):
    threads = [threading.Thread(target=function, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


class Run:
    def __init__(self, broker, megabytes, partitions=2):
        self.b, self.megabytes, self.partitions, self.out = broker, megabytes, partitions, {}
        self.batch = records.batch([os.urandom(512) + b"x" * 512 for _ in range(250)])

    def start(self):
        began = time.monotonic()
        self.b.launch()

        def first_metadata():
            with self.b.connect(timeout=5) as c:
                return c.call("Metadata", 1, {"Topics": []})["ControllerId"] == self.b.id

        wait_until(first_metadata, 60, "the first metadata", every=0.002)
        self.out["start_metadata"] = (time.monotonic() - began) * 1e3
        with self.b.connect() as c:
            wait_until(lambda: self.create(c, "first", 1), 30, every=0.002)
            wait_until(lambda: self.produced(c, "first", 0, records.batch([b"x"])), 30, every=0.002)
        self.out["start_record"] = (time.monotonic() - began) * 1e3
        time.sleep(1.5)
        self.out["memory_idle"] = self.b.memory() / 1024

    def create(self, c, topic, partitions):
        answer = c.call("CreateTopics", 4, {"Topics": [{"Name": topic, "NumPartitions": partitions, "ReplicationFactor": 1}], "timeoutMs": 30000})
        return answer["Topics"][0]["ErrorCode"] in (0, 36)

    def produced(self, c, topic, partition, data):
        answer = c.call("Produce", 7, {"Acks": 1, "TimeoutMs": 30000, "TopicData": [{"Name": topic, "PartitionData": [
            {"Index": partition, "Records": data}]}]})
        return answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0

    def topic(self, name):
        with self.b.connect() as c:
            assert self.create(c, name, self.partitions)
            for p in range(self.partitions):
                wait_until(lambda: self.produced(c, name, p, records.batch([b"x"])), 30)
        return name

    def produce(self, topic, megabytes):
        """-> bytes"""
        each = max(1, int(megabytes * 1e6 / len(self.batch) / self.partitions))

        def one(partition):
            request = produce_request(topic, partition, self.batch)
            with self.b.connect() as c:
                open_requests = 0
                for _ in range(each):
                    c.send_bytes(request)
                    open_requests += 1
                    if open_requests == IN_FLIGHT:
                        self.check(c.receive_frame())
                        open_requests -= 1
                for _ in range(open_requests):
                    self.check(c.receive_frame())

        on_each_partition(self.partitions, one)
        return each * len(self.batch) * self.partitions

    @staticmethod
    def check(frame):
        _, answer = wire.decode_response("Produce", 7, frame)
        error = answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"]
        assert error == 0, f"Produce: error {error}"

    def consume(self, topic, total):
        """Reads every partition from the beginning; -> bytes of records"""
        got = [0] * self.partitions

        def one(partition):
            buffer = bytearray(1 << 20)
            with self.b.connect() as c:
                end = c.call("ListOffsets", 4, {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": [
                    {"PartitionIndex": partition, "Timestamp": -1}]}]})["Topics"][0]["Partitions"][0]["Offset"]
                offset = 0
                while offset < end:
                    c.send("Fetch", 10, {"ReplicaId": -1, "MaxWaitMs": 500, "MinBytes": 1, "MaxBytes": 8 << 20, "SessionEpoch": -1, "Topics": [
                        {"Topic": topic, "Partitions": [{"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 4 << 20}]}]})
                    size, last = self.drain(c, buffer)
                    got[partition] += size
                    offset = last

        on_each_partition(self.partitions, one)
        assert sum(got) >= total, f"{sum(got)} of {total} bytes"
        return sum(got)

    def drain(self, c, buffer):
        """One Fetch answer, without looking at the records but for each batch's header; -> (bytes, next offset)"""
        left = struct.unpack(">i", c.receive_bytes(4))[0]
        data = memoryview(bytearray(left))
        at = 0
        while at < left:
            at += c.sock.recv_into(data[at:])
        size = last = 0
        at = left - self.records_length(data)
        while at + 61 <= left:
            base, length = struct.unpack_from(">qi", data, at)
            if at + 12 + length > left:
                break
            last = base + struct.unpack_from(">i", data, at + 23)[0] + 1
            at += 12 + length
            size += 12 + length
        assert size, "a Fetch answer without a batch"
        return size, last

    @staticmethod
    def records_length(data):
        # correlation, throttle, error, session, 1 topic, its name, 1 partition: index, error, hw, lso, start, aborted (-1 or a count), length
        at = 4 + 4 + 2 + 4 + 4
        at += 2 + struct.unpack_from(">h", data, at)[0] + 4 + 4 + 2 + 8 + 8 + 8
        aborted = struct.unpack_from(">i", data, at)[0]
        at += 4 + 16 * max(aborted, 0)
        return struct.unpack_from(">i", data, at)[0]

    def measured(self, name, function, *args):
        cpu, began = self.b.cpu(), time.monotonic()
        size = function(*args)
        took = time.monotonic() - began
        self.out[f"{name}_rate"] = size / took / 1e6
        self.out[f"{name}_cpu"] = (self.b.cpu() - cpu) / (size / GB)
        return size

    def single(self, topic, seconds):
        request = produce_request(topic, 0, records.batch([b"x" * 100]))
        times = []
        cpu, end = self.b.cpu(), time.monotonic() + seconds
        with self.b.connect() as c:
            while (before := time.monotonic()) < end:
                c.send_bytes(request)
                c.receive_frame()
                times.append(time.monotonic() - before)
        self.out["single_rate"] = len(times) / seconds
        self.out["single_median"] = statistics.median(times) * 1e6
        self.out["single_cpu"] = (self.b.cpu() - cpu) / len(times) * 1e6

    def all(self):
        self.start()
        warm = self.topic("warm-up")
        self.consume(warm, self.produce(warm, min(self.megabytes, 300)))
        self.measured("consume", self.consume, t := self.topic("bench"), self.measured("produce", self.produce, t, self.megabytes))
        s = self.topic("single")
        self.single(s, 3)
        self.single(s, 3)
        self.out["memory_loaded"] = self.b.memory() / 1024
        return self.out


def run(kind, directory, zk, chroot, args):
    """One broker through all of it; -> {row: figure}"""
    b = make_broker(kind, directory, f"{zk.address}{chroot}", 0)
    try:
        out = Run(b, args.mb).all()
        b.stop()
    finally:
        b.cleanup()
    return out
