# SPDX-License-Identifier: Apache-2.0
"""A well-behaved client beside an attack, as a process of its own: it produces a record and fetches it again, at a fixed rate, until its standard
input ends; then it prints how long each took, in milliseconds.

	with Probe(broker, topic) as p: ...attack...
	p.p99, p.worst, p.n
A request that is not answered as it should be ends it, and then the test."""
import json
import pathlib
import subprocess
import sys
import time

PER_SECOND = 50


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else float("nan")


class Probe:
    def __init__(self, broker, topic):
        self.broker, self.topic, self.took = broker, topic, []

    def __enter__(self):
        self.popen = subprocess.Popen([sys.executable, "-m", "harness.probe", str(self.broker.port), self.topic], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, cwd=pathlib.Path(__file__).parent.parent)
        assert self.popen.stdout.readline() == "ready\n", self.popen.communicate()[1]
        return self

    def __exit__(self, kind, *exc):
        try:
            out, err = self.popen.communicate(timeout=60)
        finally:
            self.popen.kill()
            self.popen.wait()
        if kind is None:
            assert self.popen.returncode == 0, f"the bystander was not served\n{err}"
            self.took = json.loads(out)
            self.n, self.p99, self.worst = len(self.took), quantile(self.took, 0.99), max(self.took)


def main(port, topic):
    import select
    from harness import records, wire
    batch = records.batch([b"x" * 100])
    took, due = [], time.monotonic()
    with wire.Connection("127.0.0.1", port, 60) as c:
        while True:
            began = time.monotonic()
            answer = c.call("Produce", 7, {"Acks": -1, "TimeoutMs": 30000, "TopicData": [{"Name": topic, "PartitionData": [{"Index": 0, "Records": batch}]}]})
            (p,) = answer["Responses"][0]["PartitionResponses"]
            assert p["ErrorCode"] == 0, answer
            answer = c.call("Fetch", 11, {"MaxWaitMs": 1000, "MinBytes": 1, "MaxBytes": 10000, "SessionEpoch": -1, "Topics": [{"Topic": topic, "Partitions": [
                {"Partition": 0, "FetchOffset": p["BaseOffset"], "PartitionMaxBytes": 10000, "CurrentLeaderEpoch": -1}]}]})
            got = answer["Responses"][0]["Partitions"][0]
            assert got["ErrorCode"] == 0 and got["Records"], answer
            took.append(1000 * (time.monotonic() - began))
            if len(took) == 1:
                print("ready", flush=True)
            due = max(due + 1 / PER_SECOND, began)
            if select.select([sys.stdin], [], [], max(0, due - time.monotonic()))[0]:
                break
    print(json.dumps(took[1:] or took))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
