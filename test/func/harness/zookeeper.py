# SPDX-License-Identifier: Apache-2.0
"""ZooKeeper servers: a real one, Debian's (libzookeeper-java), else the one among Kafka's jars; and the one that ottlad carries, by itself."""
import pathlib
import signal
import socket
import subprocess

from kazoo.client import KazooClient

from . import env
from .proc import Process, die_with_parent, free_port, wait_until

DEBIAN_JAR = pathlib.Path("/usr/share/java/zookeeper.jar")
DEBIAN_LOG4J = [pathlib.Path("/usr/share/java/slf4j-log4j12.jar"), pathlib.Path("/usr/share/java/log4j-1.2.jar")]
LOG4J = """log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
"""


def class_path(directory):
    if DEBIAN_JAR.exists():
        return ":".join(str(p) for p in [directory, DEBIAN_JAR, *[j for j in DEBIAN_LOG4J if j.exists()]])
    return f"{directory}:{env.need_jars()}/*"


class ZooKeeper:
    """One server; the data stays over stop and start, as does the port."""

    def __init__(self, directory, more=(), heap="256m", jvm=("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        conf = self.directory / "zoo.cfg"
        conf.write_text("\n".join([
            f"dataDir={self.directory}/data", f"clientPort={self.port}", "clientPortAddress=127.0.0.1", "tickTime=2000",
            "maxClientCnxns=0", "admin.enableServer=false", "4lw.commands.whitelist=*", "forceSync=no", *more, ""]))
        (self.directory / "log4j.properties").write_text(LOG4J)
        self.process = Process(
            [env.need_command("java"), f"-Xmx{heap}", *jvm, "-Dzookeeper.jmx.log4j.disable=true",
             "-cp", class_path(self.directory), "org.apache.zookeeper.server.quorum.QuorumPeerMain", conf],
            self.directory / "zookeeper.log")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self, four_letters):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
            s.sendall(four_letters.encode())
            s.shutdown(socket.SHUT_WR)
            answer = b""
            while more := s.recv(65536):
                answer += more
        return answer.decode()

    def mode(self):
        """leader, follower or standalone; None: it does not serve."""
        try:
            words = self.command("srvr")
        except OSError:
            return None
        return words.split("Mode: ")[1].split()[0] if "Mode: " in words else None

    def start(self):
        self.process.start()
        try:
            wait_until(lambda: self.command("ruok") == "imok" and "Mode" in self.command("srvr"), 30, "ZooKeeper to answer", every=0.05)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.process.tail()}") from None
        return self

    def stop(self):
        self.process.kill9()        # it has nothing to say on the way out, and its log is fit for this

    def client(self, chroot=""):
        """A connected kazoo client; the caller stops it (or uses `with zk.session(chroot) as k`)."""
        k = KazooClient(hosts=self.address + chroot, timeout=10.0)
        k.start(timeout=15)
        return k

    def session(self, chroot=""):
        return Session(self, chroot)


class EmbeddedServer:
    """The server inside ottlad, by itself (test/unit/zkserver/serve_zk.c).  Directory and port stay over kill9 and start."""

    def __init__(self, directory, tick_ms=2000):
        self.program = pathlib.Path(env.ottlad()).parent / "test/unit/zkserver/serve_zk"
        if not self.program.exists():
            env.missing("test/unit/zkserver/serve_zk (make check builds it)")
        self.directory, self.tick_ms, self.port = pathlib.Path(directory), tick_ms, 0
        self.directory.mkdir(parents=True, exist_ok=True)

    address, client = ZooKeeper.address, ZooKeeper.client

    def session(self, chroot=""):
        return Session(self, chroot)

    def start(self):
        self.process = subprocess.Popen([self.program, self.directory, str(self.port), str(self.tick_ms)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, preexec_fn=die_with_parent)
        self.port = int(self.process.stdout.readline())
        return self

    def kill9(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(30)
        assert status == 0, f"the embedded server ended with status {status}"


class Session:
    def __init__(self, zk, chroot):
        self.zk, self.chroot = zk, chroot

    def __enter__(self):
        self.k = self.zk.client(self.chroot)
        return self.k

    def __exit__(self, *exc):
        self.k.stop()
        self.k.close()


class Ensemble:
    """Three servers, each behind a proxy of its own (`proxies` makes them), so that the way to it can be cut and slowed down."""

    def __init__(self, directory, proxies):
        directory = pathlib.Path(directory)
        ports = [(free_port(), free_port()) for _ in range(3)]
        quorum = ["initLimit=20", "syncLimit=4", *[f"server.{i + 1}=127.0.0.1:{a}:{b}" for i, (a, b) in enumerate(ports)]]
        self.nodes = [ZooKeeper(directory / f"zookeeper{i + 1}", quorum, "96m") for i in range(3)]
        for i, node in enumerate(self.nodes):
            (node.directory / "data").mkdir(exist_ok=True)
            (node.directory / "data" / "myid").write_text(str(i + 1))
        self.proxies = [proxies(node.port) for node in self.nodes]

    @property
    def address(self):
        return ",".join(p.address for p in self.proxies)

    def start(self):
        for node in self.nodes:
            node.process.start()
        return self.wait()

    def wait(self):
        """All three serve."""
        wait_until(lambda: sorted(n.mode() or "" for n in self.nodes) == ["follower", "follower", "leader"], 60, "three servers to find each other")
        return self

    def leader(self):
        return wait_until(lambda: next((n for n in self.nodes if n.process.alive() and n.mode() == "leader"), None), 60, "a leader")

    def others(self, node):
        return [n for n in self.nodes if n is not node]

    def stop(self):
        for node in self.nodes:
            if node.process.alive():
                node.process.signal(signal.SIGCONT)
                node.stop()
