// SPDX-License-Identifier: Apache-2.0
//
// Settings that are each valid and contradict each other, and their neighbours that do not: does Java Kafka take them together at start?
// One line each: y(es) or n(o)<tab>KEY=VALUE<tab>KEY=VALUE...
// usage: java -cp 'LIBS/*' TogetherGolden.java >together.golden
import java.io.PrintStream;
import java.util.*;

public class TogetherGolden {
    static final String[] SETS = {
        "broker.id=1\tnode.id=2", "broker.id=1\tnode.id=1", "broker.id=1001\treserved.broker.max.id=1000", "broker.id=1000\treserved.broker.max.id=1000",
        "broker.id=-1\tbroker.id.generation.enable=false", "broker.id=5000\tbroker.id.generation.enable=false",
        "log.cleaner.dedupe.buffer.size=2097152\tlog.cleaner.threads=2", "log.cleaner.dedupe.buffer.size=2097154\tlog.cleaner.threads=2",
        "replica.fetch.wait.max.ms=301\treplica.socket.timeout.ms=300", "replica.fetch.wait.max.ms=300\treplica.socket.timeout.ms=300",
        "replica.fetch.wait.max.ms=301\treplica.lag.time.max.ms=300", "replica.fetch.wait.max.ms=300\treplica.lag.time.max.ms=300",
        "listeners=A://h:1\tlistener.security.protocol.map=B:PLAINTEXT", "listeners=A://h:1,B://h:2\tlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\tinter.broker.listener.name=A",
        "listeners=A://h:1\tlistener.security.protocol.map=A:PLAINTEXT\tinter.broker.listener.name=B", "listeners=PLAINTEXT://h:1\tadvertised.listeners=SSL://h:1",
        "inter.broker.listener.name=PLAINTEXT\tsecurity.inter.broker.protocol=PLAINTEXT", "listeners=PLAINTEXT://0.0.0.0:1\tadvertised.listeners=PLAINTEXT://0.0.0.0:1",
        "listeners=PLAINTEXT://0.0.0.0:1\tadvertised.listeners=PLAINTEXT://h:1", "listeners=PLAINTEXT://h:1\tsecurity.inter.broker.protocol=SSL",
        "queued.max.request.bytes=999\tsocket.request.max.bytes=1000", "queued.max.request.bytes=1000\tsocket.request.max.bytes=1000",
        "max.connections.per.ip=0\tmax.connections.per.ip.overrides=", "max.connections.per.ip=0\tmax.connections.per.ip.overrides=127.0.0.1:1",
        "connection.failed.authentication.delay.ms=100\tconnections.max.idle.ms=100", "connection.failed.authentication.delay.ms=99\tconnections.max.idle.ms=100",
        "offsets.commit.required.acks=3\toffsets.topic.replication.factor=2", "offsets.commit.required.acks=2\toffsets.topic.replication.factor=2",
        "group.consumer.min.session.timeout.ms=50000\tgroup.consumer.max.session.timeout.ms=49999", "group.consumer.session.timeout.ms=50000\tgroup.consumer.max.session.timeout.ms=49999",
        "group.consumer.heartbeat.interval.ms=6000\tgroup.consumer.min.heartbeat.interval.ms=6001", "group.share.record.lock.duration.ms=20000\tgroup.share.max.record.lock.duration.ms=30000",
        "group.share.min.record.lock.duration.ms=20000\tgroup.share.record.lock.duration.ms=19999",
    };

    static char taken(String set) {
        Properties p = new Properties();
        p.put("broker.id", "1");
        p.put("zookeeper.connect", "localhost:2181");
        p.put("log.dirs", "/a");
        for (String s : set.split("\t"))
            p.put(s.substring(0, s.indexOf('=')), s.substring(s.indexOf('=') + 1));
        try {
            new kafka.server.KafkaConfig(p, false);
            return 'y';
        } catch (Throwable e) {
            System.err.println(set + ": " + e);
            return 'n';
        }
    }

    public static void main(String[] args) {
        PrintStream out = System.out;
        System.setOut(System.err);
        for (String set : SETS)
            out.println(taken(set) + "\t" + set);
        out.flush();
    }
}
