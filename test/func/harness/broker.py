# SPDX-License-Identifier: Apache-2.0
"""A broker of either kind, "java" (Kafka 3.9.1) or "ottla", behind one interface, so that one test holds for both.

The directory, the port (unless a stranger has it) and the id outlive the process: stop/kill9 and start give the same broker again, and `as_kind` the other kind on the
same log directory."""
import os
import pathlib
import re
import signal
import time

from . import env, java, wire
from .proc import Process, cpu_seconds, free_port, memory_kib, pids_with, wait_until

COMMON = {
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 5,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    "zookeeper.session.timeout.ms": 6000,
    "log.retention.check.interval.ms": 86400000,    # tests write records of long ago; those that want them gone ask for it
    "zookeeper.connection.timeout.ms": 20000,
    # Java allocates it whenever any setting of the cleaner changes, message.max.bytes among them, while the last one is still there: 128 MiB each in
    # a small heap ended the thread that hears of settings, and only that
    "log.cleaner.dedupe.buffer.size": 8 << 20,
}


def embedded_port(b):
    """Where the ZooKeeper of a broker with zookeeper.connect=embedded listens."""
    return int(b.text().rsplit("embedded, for this broker alone, at 127.0.0.1:", 1)[1].split()[0])


def make_broker(kind, *args, **kwargs):
    return {"java": JavaBroker, "ottla": OttlaBroker}[kind](*args, **kwargs)


PORT_TAKEN = re.compile(r"Address already in use|Socket server failed to bind")


class Broker:
    kind = ""
    refusal = ""        # what it says of an id that another session holds

    def __init__(self, directory, zk_connect, broker_id=0, config=None, port=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.zk_connect, self.id, self.port, self.any_port = zk_connect, broker_id, port or free_port(), port is None
        self.data = self.directory / "data"
        self.config = dict(COMMON, **(config or {}))
        self.conf = self.directory / f"server-{self.kind}.properties"
        self.process = None
        self.may_wait_for_session = self.kind == "java"

    # ---- what differs -----------------------------------------------------------------------------------------------------------
    def argv(self):
        raise NotImplementedError

    def environment(self):
        return {}

    # ---- what does not ----------------------------------------------------------------------------------------------------------
    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def properties(self):
        rows = {
            "broker.id": self.id,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "log.dirs": self.data,
            "zookeeper.connect": self.zk_connect,
        }
        rows.update(self.config)
        return {k: v for k, v in rows.items() if v is not None}

    def write_config(self):
        self.conf.write_text("".join(f"{k}={v}\n" for k, v in self.properties().items()))

    def launch(self, preexec=None):
        """Starts the process and returns at once."""
        self.write_config()
        self.process = Process(self.argv(), self.directory / f"{self.kind}.log", cwd=self.directory, env=self.environment())
        self.process.start(preexec)
        return self

    def start(self, seconds=60):
        """Ready when it returns.  While it was down, somebody else may have taken its port (whoever runs on this machine, for whatever): then it gets another."""
        for _ in range(3 if self.any_port else 0):
            try:
                return self.start_there(seconds)
            except AssertionError:
                if self.alive() or not PORT_TAKEN.search(self.process.tail()):
                    raise
            self.port = free_port()
        return self.start_there(seconds)

    def start_there(self, seconds):
        self.launch()
        if not self.may_wait_for_session:
            self.wait_ready(seconds)
            return self
        # An id is refused until the session of the Java broker that was killed is over.
        for _ in range(40):
            try:
                self.wait_ready(seconds)
                return self
            except AssertionError:
                if self.refusal not in self.text():
                    raise
            self.cleanup()
            time.sleep(0.5)
            self.launch()
        raise AssertionError("the znode of the killed broker never went away")

    def wait_ready(self, seconds=60):
        """Ready: it answers ApiVersions, and Metadata names this broker and a controller."""
        def ready():
            if not self.alive():
                return "dead"
            with self.connect(timeout=5) as c:
                c.call("ApiVersions", 0, {})
                answer = c.call("Metadata", 1, {"Topics": []})
                return answer["ControllerId"] == self.id and any(b["NodeId"] == self.id for b in answer["Brokers"])

        try:
            state = wait_until(ready, seconds, f"{self.kind} broker on {self.address} to be ready")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.process.tail()}") from None
        if state == "dead":
            raise AssertionError(f"{self.kind} broker ended with status {self.process.popen.returncode}\n{self.process.tail()}")

    def connect(self, timeout=30, host="127.0.0.1", port=None):
        return wire.Connection(host, port or self.port, timeout)

    def alive(self):
        return self.process is not None and self.process.alive()

    def kill9(self):
        self.process.kill9()

    def hears(self):
        return True

    def stop(self, seconds=60):
        return self.process.stop(seconds) if self.process else None

    def restart(self):
        self.stop()
        return self.start()

    def text(self):
        return self.process.text()

    def wait_exit(self, seconds=30):
        """-> (exit status, what it said)"""
        return self.process.wait(seconds), self.process.text()

    def cleanup(self):
        """Ends everything of this broker, whatever state it is in."""
        if self.process:
            self.process.signal(signal.SIGCONT)
            self.process.kill9()

    def as_kind(self, kind):
        """The other kind of broker with this one's id, port, ZooKeeper and log directory.  This one must be stopped."""
        assert not self.alive()
        other = make_broker(kind, self.directory, self.zk_connect, self.id, self.config, self.port)
        other.data, other.any_port = self.data, self.any_port
        other.may_wait_for_session = other.kind == "java" or self.kind == "java"
        return other

    def create_topic(self, name, partitions=1, every=0.02, seconds=60):
        """Returns when every partition has its leader."""
        with self.connect(timeout=90) as c:
            answer = c.call("CreateTopics", 4, {"Topics": [{"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1}], "timeoutMs": 60000})
            assert answer["Topics"][0]["ErrorCode"] == 0, answer

            def led():
                t = c.call("Metadata", 1, {"Topics": [{"Name": name}]})["Topics"][0]
                return t["ErrorCode"] == 0 and len(t["Partitions"]) == partitions and not any(p["ErrorCode"] for p in t["Partitions"])

            wait_until(led, seconds, f"{name} to have leaders", every=every)

    # ---- looking at it ----------------------------------------------------------------------------------------------------------
    def partition_dir(self, topic, partition=0):
        return self.data / f"{topic}-{partition}"

    def cpu(self):
        return cpu_seconds(self.pid)

    def memory(self):
        return memory_kib(self.pid)


class JavaBroker(Broker):
    kind = "java"
    refusal = "NodeExistsException"

    def argv(self):
        return [*java.command(broker=True), "kafka.Kafka", self.conf]

    def hears(self):
        """Whether it still hears of settings: a thread that ended takes nothing else with it, and every later change is lost."""
        return "-event-process-thread]: Error due to" not in self.text()


class OttlaBroker(Broker):
    kind = "ottla"
    refusal = "belongs to another live session"

    def argv(self):
        return [env.ottlad() or env.missing("ottlad"), self.conf]

    def environment(self):
        return {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:" + os.environ.get("ASAN_OPTIONS", ""),
                "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:" + os.environ.get("UBSAN_OPTIONS", "")}

    def keepers(self):
        """The pids of this broker's keepers (forked from it, so with its command line), the daemon itself excepted."""
        return [p for p in pids_with(str(self.conf)) if not self.process or p != self.pid]

    def stop(self, seconds=60):
        status = super().stop(seconds)
        assert "Sanitizer" not in self.text(), self.process.tail(80)
        return status

    def cleanup(self):
        super().cleanup()
        for pid in self.keepers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
