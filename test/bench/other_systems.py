# SPDX-License-Identifier: Apache-2.0
"""The systems that others_rows.py sets beside Ottla: how each is had, configured and started, and what of its work is alike and what is not.

All run with their own defaults but for what `settings` says.  Ports are on the loopback, files in the directory of the run, logs there, too."""
import re
import subprocess

from harness import env
from harness.proc import Process, die_with_parent, free_port

import fetching

HERE = env.TOP / "test/bench/others"
ERLANG = ["base", "crypto", "asn1", "eldap", "inets", "mnesia", "os-mon", "parsetools", "public-key", "runtime-tools", "snmp",
          "ssl", "syntax-tools", "tools", "xmerl"]


def pinned(pom, artifact):
    return re.search(rf"<artifactId>{artifact}</artifactId>\s*<version>(.*?)</version>", pom.read_text()).group(1)


class System:
    """One of them.  fetch() once, launch(directory) for each life; ports outlive it."""
    name = client = ""
    settings = alike = not_alike = ""      # words for the table

    def __init__(self):
        self.pom = HERE / f"{self.name}.xml"
        self.client_jars, self.directory, self.ports, self.processes = None, None, [], []

    def fetch(self):
        """-> what it is, with its version.  Raises fetching.Lacking."""
        self.java = fetching.command("java")
        self.client_jars = fetching.jars(self.pom)
        return self.fetch_server()

    def fetch_server(self):
        raise NotImplementedError

    def launch(self, directory):
        """Starts all of it in a new directory and returns at once."""
        directory.mkdir(parents=True)
        self.directory = directory
        self.processes = [Process(argv, directory / f"{name}.log", cwd=directory, env=more) for name, argv, more in self.commands(directory)]
        for p in self.processes:
            p.start()

    def commands(self, directory):
        """-> (name, argv, environment) of each process, in the order of their start; writes what they read"""
        raise NotImplementedError

    @property
    def pids(self):
        return [p.pid for p in self.processes]

    def tail(self):
        return "\n".join(p.tail() for p in self.processes)

    def stop(self):
        """Asked to end; killed when that takes too long, which is nothing that is measured here."""
        for p in reversed(self.processes):
            try:
                p.stop(60)
            except AssertionError:
                pass

    def cleanup(self):
        for p in self.processes:
            p.kill9()


class RabbitMQ(System):
    name, client = "rabbitmq", "RabbitMQ"
    settings = "its default settings; the stream plugin and nothing else is enabled; an epmd of its own counts with it"
    alike = "a stream is a log in segment files: acknowledged when it is written there, not fsynced; read from the first record on, by sendfile; it stays there"
    not_alike = ("frames of up to 900 records (1 MiB is the most), each confirmed by itself; the broker makes chunks of them, and the chunks' checksums; "
                 "the version is Debian's, not the newest")

    def fetch_server(self):
        self.root = fetching.debs("rabbitmq-deb", ["rabbitmq-server", *(f"erlang-{e}" for e in ERLANG)])
        self.home = next((self.root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
        self.erlang = self.root / "usr/lib/erlang"
        self.erts = next(self.erlang.glob("erts-*")) / "bin"
        self.ports = [free_port() for _ in range(4)]
        return f"RabbitMQ {fetching.deb_version(self.root, 'rabbitmq-server')} on Erlang {fetching.deb_version(self.root, 'erlang-base')} (Debian), streams"

    def commands(self, directory):
        stream, amqp, dist, epmd = self.ports
        (directory / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{amqp}\nstream.listeners.tcp.1 = 127.0.0.1:{stream}\n"
                                                 f"stream.advertised_host = 127.0.0.1\nstream.advertised_port = {stream}\n")
        (directory / "enabled_plugins").write_text("[rabbitmq_stream].\n")
        (directory / "bin").mkdir()
        erl = directory / "bin/erl"         # the package's own knows one place only
        erl.write_text(f"#!/bin/sh\nexport ROOTDIR='{self.erlang}' BINDIR='{self.erts}' EMU=beam PROGNAME=erl\nexec '{self.erts}/erlexec' \"$@\"\n")
        erl.chmod(0o755)
        more = {
            "PATH": f"{directory}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(directory), "RUNNING_UNDER_SYSTEMD": "true",     # one process, no shell around it
            "ERL_EPMD_PORT": str(epmd), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "bench@localhost", "RABBITMQ_DIST_PORT": str(dist), "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(directory / "none"), "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"), "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_PID_FILE": str(directory / "pid"), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        return [("epmd", [self.erts / "epmd", "-address", "127.0.0.1", "-port", epmd], {}),
                ("rabbitmq", [self.home / "sbin/rabbitmq-server"], more)]


class Nats(System):
    name, client = "nats", "Nats"
    settings = "its default settings, JetStream with a store of files"
    alike = ("a stream is a log in files (blocks): acknowledged when it is written there, and fsynced in the background every minute or two; read from the first "
             "record on; it stays there")
    not_alike = ("every record is a message with an acknowledgement, a write and a checksum of its own: there are no batches; an ordered push consumer gets them one "
                 "by one, from blocks that are read into the server's memory; the version is Debian's, not the newest")

    def fetch_server(self):
        self.root = fetching.debs("nats-deb", ["nats-server"])
        self.ports = [free_port()]
        return f"NATS {fetching.deb_version(self.root, 'nats-server')} (Debian), JetStream"

    def commands(self, directory):
        program = next(p for p in (self.root / "usr").rglob("nats-server") if p.is_file() and p.parent.name in ("bin", "sbin"))
        (directory / "nats.conf").write_text(f'listen: "127.0.0.1:{self.ports[0]}"\njetstream {{ store_dir: "{directory / "data"}" }}\n')
        return [("nats", [program, "-c", directory / "nats.conf"], {})]


ARTEMIS = """<?xml version="1.0" encoding="UTF-8"?>
<configuration xmlns="urn:activemq">
  <core xmlns="urn:activemq:core">
    <name>bench</name>
    <persistence-enabled>true</persistence-enabled>
    <security-enabled>false</security-enabled>
    <journal-type>NIO</journal-type>
    <journal-datasync>false</journal-datasync>
    <journal-file-size>10M</journal-file-size>
    <journal-min-files>2</journal-min-files>
    <journal-pool-files>10</journal-pool-files>
    <bindings-directory>{data}/bindings</bindings-directory>
    <journal-directory>{data}/journal</journal-directory>
    <large-messages-directory>{data}/large</large-messages-directory>
    <paging-directory>{data}/paging</paging-directory>
    <acceptors><acceptor name="core">tcp://127.0.0.1:{port}?protocols=CORE</acceptor></acceptors>
    <address-settings>
      <address-setting match="#">
        <max-size-bytes>-1</max-size-bytes>
        <address-full-policy>PAGE</address-full-policy>
        <page-size-bytes>10M</page-size-bytes>
      </address-setting>
    </address-settings>
  </core>
</configuration>
"""


class Artemis(System):
    name, client = "artemis", "Artemis"
    settings = ("a journal of type NIO with journal-datasync=false: synced by its word, which is without fdatasync then (the default waits for the disk); no security; "
                "journal files and heap (512 MiB to 2 GiB) as its own `create` sets them; without web console, its core protocol only")
    alike = "a durable queue in a journal: acknowledged when it is written there, not fsynced; read from the first record on by a browser, which leaves them there"
    not_alike = ("a queue, no log: what it holds is in the heap, too, and read from there (from pages in files what is beyond half of the heap); every record is a "
                 "message with an acknowledgement of its own")

    def fetch_server(self):
        self.ports = [free_port()]
        return f"ActiveMQ Artemis {pinned(self.pom, 'artemis-server')} (Maven), a queue"

    def commands(self, directory):
        (directory / "etc").mkdir()
        (directory / "etc/broker.xml").write_text(ARTEMIS.format(data=directory / "data", port=self.ports[0]))
        return [("artemis", [self.java, "-Xms512m", "-Xmx2g", "-XX:+UseG1GC", "-XX:+UseStringDeduplication", "-XX:AutoBoxCacheMax=20000",
                             f"-Djava.io.tmpdir={directory}", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self.client_jars}/*",
                             "org.apache.activemq.artemis.core.server.embedded.Main", directory], {})]


class RocketMQ(System):
    name, client = "rocketmq", "RocketMQ"
    settings = ("its default settings, which are flushDiskType=ASYNC_FLUSH, brokerRole=ASYNC_MASTER; a heap of 1 GiB (its script: 8, touched in advance) and of 256 MiB "
                "for its name server; both processes count")
    alike = ("a topic with one queue, batches of up to 900 records with one acknowledgement each, out of memory that is mapped to a file; read from the first record on; "
             "it stays there")
    not_alike = ("one log for all topics, in mapped files of 1 GiB that are flushed in the background each half second; an index entry and a checksum "
                 "for each record; a pull is answered with 32 records at most (its default); batches under way together may change places")

    def fetch_server(self):
        self.ports = [self.broker_port(), free_port(), free_port()]
        return f"RocketMQ {pinned(self.pom, 'rocketmq-broker')} (Maven)"

    @staticmethod
    def broker_port():
        """One whose second predecessor is free, too: the broker takes that as well."""
        before = [free_port(), free_port()]
        while (port := free_port()) - 2 != before[0]:
            before = [before[1], port]
        return port

    def commands(self, directory):
        broker, names, ha = self.ports      # replicas are expected at ha on every interface, whatever one says; none come
        (directory / "namesrv.conf").write_text(f"listenPort={names}\nbindAddress=127.0.0.1\n")
        (directory / "broker.conf").write_text(
            f"brokerClusterName=bench\nbrokerName=bench\nbrokerId=0\nbrokerIP1=127.0.0.1\nbrokerIP2=127.0.0.1\n"
            f"bindAddress=127.0.0.1\nlistenPort={broker}\nhaListenPort={ha}\nnamesrvAddr=127.0.0.1:{names}\n"
            f"storePathRootDir={directory / 'data'}\nstorePathCommitLog={directory / 'data/commitlog'}\n"
            "flushDiskType=ASYNC_FLUSH\nbrokerRole=ASYNC_MASTER\n")

        def argv(heap, main, conf):
            return [self.java, f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseG1GC", f"-Duser.home={directory}", f"-Drocketmq.home.dir={directory}",
                    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED", "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
                    "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", f"{self.client_jars}/*", main, "-c", directory / conf]

        return [("namesrv", argv("256m", "org.apache.rocketmq.namesrv.NamesrvStartup", "namesrv.conf"), {}),
                ("broker", argv("1g", "org.apache.rocketmq.broker.BrokerStartup", "broker.conf"), {})]


SYSTEMS = {s.name: s for s in (RabbitMQ, Nats, Artemis, RocketMQ)}


class Client:
    """others/Load.java for one system, as an object.  One answer for each question; a failure is an AssertionError."""

    def __init__(self, system, directory):
        directory.mkdir(parents=True, exist_ok=True)
        path = fetching.classes(system.client_jars, [HERE / "Load.java", HERE / f"{system.client}.java"], directory)
        self.system, self.log = system, directory / "client.log"
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen([system.java, "-Xmx1g", f"-Duser.home={directory}", "-cp", path, "Load", system.client, *map(str, system.ports)],
                                          cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=die_with_parent)

    def ask(self, *words):
        """-> when it was done, in seconds of the monotonic clock"""
        question = " ".join(map(str, words))
        self.popen.stdin.write(question + "\n")
        self.popen.stdin.flush()
        kind, _, rest = self.popen.stdout.readline().strip().partition(" ")
        assert kind == "ok", f"{self.system.name}: {question}: {rest or 'the client ended'}\n{self.log.read_text(errors='replace')[-2000:]}\n{self.system.tail()}"
        return int(rest) / 1e9

    def cleanup(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()
