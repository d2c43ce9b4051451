# SPDX-License-Identifier: Apache-2.0
"""Java Kafka's own programs: the broker's command line and the tools behind kafka-*.sh."""
import os
import pathlib
import subprocess
import tempfile

from . import env

TOOLS = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-console-producer": "kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "kafka-dump-log": "kafka.tools.DumpLogSegments",
    "kafka-broker-api-versions": "kafka.admin.BrokerApiVersionsCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-acls": "kafka.admin.AclCommand",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
}
LOG4J = """log4j.rootLogger={level}, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.target=System.err
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
"""
_log4j = {}


def log4j(level):
    if level not in _log4j:
        path = pathlib.Path(tempfile.mkdtemp(prefix="ottla-log4j-")) / "log4j.properties"
        path.write_text(LOG4J.format(level=level))
        _log4j[level] = path
    return _log4j[level]


def forget():
    for path in _log4j.values():
        path.unlink()
        path.parent.rmdir()
    _log4j.clear()


def command(broker=False):
    """java and its options up to the class name: small for the tests; the bench gives the broker Kafka's own."""
    jars = env.need_jars()
    options = os.environ.get("OTTLA_TEST_JAVA_OPTS", "-Xmx384m -XX:+UseSerialGC") if broker else "-Xmx192m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    return [env.need_command("java"), *options.split(), "-Xshare:auto",
            f"-Dlog4j.configuration=file:{log4j('INFO' if broker else 'ERROR')}", "-cp", f"{jars}/*"]


def tool(name, *args, stdin=None, seconds=60, check=True):
    """Runs one of TOOLS; -> subprocess.CompletedProcess with text output."""
    done = subprocess.run([*command(), TOOLS[name], *[str(a) for a in args]], input=stdin, capture_output=True, timeout=seconds,
                          env=dict(os.environ, LC_ALL="C.UTF-8"))
    done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode != 0:
        raise AssertionError(f"{name} {' '.join(map(str, args))}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def program(name, *args, seconds=120):
    """Runs harness/NAME.java, which needs no build; -> its output."""
    done = subprocess.run([*command(), str(env.HERE / f"{name}.java"), *[str(a) for a in args]], capture_output=True, timeout=seconds,
                          env=dict(os.environ, LC_ALL="C.UTF-8"), text=True)
    assert done.returncode == 0, f"{name}: status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
