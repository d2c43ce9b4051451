// SPDX-License-Identifier: Apache-2.0
//
// Asks a Java broker for its configuration in several states and prints what it answers, one line per fact, sorted.
// usage: java -cp 'LIBS/*' DescribeGolden.java BOOTSTRAP BROKER_ID
import java.util.*;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.protocol.Errors;

public class DescribeGolden {
    static Admin admin;
    static String id;

    static String text(String s) {
        return s == null ? "\\N" : s;
    }

    static ConfigResource resource(String kind, String name) {
        return new ConfigResource(kind.equals("topic") ? ConfigResource.Type.TOPIC : ConfigResource.Type.BROKER, name);
    }

    static void describe(String state, String kind, String name) throws Exception {
        ConfigResource r = resource(kind, name);
        Config c = admin.describeConfigs(List.of(r), new DescribeConfigsOptions().includeSynonyms(true)).all().get().get(r);
        System.out.println("entity\t" + state + "\t" + kind + "\t" + (name.equals(id) ? "own" : name.isEmpty() ? "default" : name));
        c.entries().stream().sorted(Comparator.comparing(ConfigEntry::name)).forEach(e -> {
            System.out.println("config\t" + e.name() + "\t" + text(e.value()) + "\t" + e.source() + "\t" + e.type() + "\t"
                + (e.isReadOnly() ? "ro" : "rw") + "\t" + (e.isSensitive() ? "sensitive" : "plain"));
            for (ConfigEntry.ConfigSynonym s : e.synonyms())
                System.out.println("synonym\t" + s.name() + "\t" + text(s.value()) + "\t" + s.source());
        });
    }

    static String error(org.apache.kafka.common.KafkaFuture<Void> f) throws Exception {
        try {
            f.get();
            return "NONE";
        } catch (ExecutionException e) {
            return Errors.forException(e.getCause()).name();
        }
    }

    static Collection<AlterConfigOp> ops(String... words) {
        List<AlterConfigOp> l = new ArrayList<>();
        for (int i = 0; i < words.length; i += 3)
            l.add(new AlterConfigOp(new ConfigEntry(words[i + 1], words[i + 2]), AlterConfigOp.OpType.valueOf(words[i])));
        return l;
    }

    // Carries it out, so that the result can be described.
    static void alter(String kind, String name, String... words) throws Exception {
        ConfigResource r = resource(kind, name);
        admin.incrementalAlterConfigs(Map.of(r, ops(words))).all().get();
        Thread.sleep(1500);
    }

    // Only asks whether it would be allowed.
    static void ask(String kind, String name, String... words) throws Exception {
        ConfigResource r = resource(kind, name);
        String e = error(admin.incrementalAlterConfigs(Map.of(r, ops(words)), new AlterConfigsOptions().validateOnly(true)).values().get(r));
        System.out.println("ask\t" + kind + "\t" + (name.equals(id) ? "own" : name.isEmpty() ? "default" : name) + "\t" + e + "\t" + String.join("\t", words));
    }

    public static void main(String[] args) throws Exception {
        id = args[1];
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        admin = Admin.create(p);
        admin.createTopics(List.of(new NewTopic("plain", 1, (short) 1), new NewTopic("tuned", 1, (short) 1).configs(Map.of(
            "retention.ms", " 0600000", "cleanup.policy", "compact,delete", "min.cleanable.dirty.ratio", "0.25", "compression.type", "zstd",
            "leader.replication.throttled.replicas", "0:7")))).all().get();
        describe("static", "broker", id);
        describe("static", "broker", "");
        describe("static", "topic", "plain");
        describe("static", "topic", "tuned");

        alter("broker", "", "SET", "log.retention.ms", "7200000", "SET", "num.io.threads", "8", "SET", "max.connections", "5000",
            "SET", "log.cleaner.threads", "2", "SET", "custom.key", "custom value", "SET", "leader.replication.throttled.rate", "1000000");
        alter("broker", id, "SET", "num.io.threads", "7", "SET", "log.roll.ms", "99999", "SET", "compression.type", "gzip",
            "SET", "listener.name.plaintext.max.connections", "50");
        describe("dynamic", "broker", id);
        describe("dynamic", "broker", "");
        describe("dynamic", "topic", "plain");
        describe("dynamic", "topic", "tuned");

        // What may be altered, and what the answer is.  The state is the one just described.
        String[][] topic = {
            {"SET", "retention.ms", "1000"}, {"SET", "retention.ms", "-2"}, {"SET", "retention.ms", "ten"}, {"SET", "retention.ms", ""},
            {"SET", "no.such.config", "1"}, {"DELETE", "no.such.config", ""}, {"DELETE", "retention.ms", ""},
            {"SET", "cleanup.policy", "compact"}, {"SET", "cleanup.policy", ""}, {"SET", "cleanup.policy", "shred"}, {"SET", "cleanup.policy", "Compact"},
            {"APPEND", "cleanup.policy", "compact"}, {"APPEND", "cleanup.policy", "shred"}, {"SUBTRACT", "cleanup.policy", "delete"},
            {"APPEND", "retention.ms", "1"}, {"SUBTRACT", "segment.bytes", "1"}, {"APPEND", "no.such.config", "1"},
            {"SET", "segment.bytes", "13"}, {"SET", "segment.bytes", "14"}, {"SET", "segment.bytes", "2147483648"},
            {"SET", "min.compaction.lag.ms", "10", "SET", "max.compaction.lag.ms", "5"}, {"SET", "max.compaction.lag.ms", "0"},
            {"SET", "min.cleanable.dirty.ratio", "1.5"}, {"SET", "min.cleanable.dirty.ratio", "NaN"}, {"SET", "min.cleanable.dirty.ratio", "0.5d"},
            {"SET", "min.cleanable.dirty.ratio", "0x1p-2"}, {"SET", "min.cleanable.dirty.ratio", "Infinity"},
            {"SET", "compression.type", "brotli"}, {"SET", "compression.type", "ZSTD"}, {"SET", "compression.gzip.level", "0"}, {"SET", "compression.gzip.level", "-1"},
            {"SET", "compression.lz4.level", "18"}, {"SET", "compression.zstd.level", "22"}, {"SET", "preallocate", "TRUE"}, {"SET", "preallocate", "yes"},
            {"SET", "message.format.version", "0.10.2"}, {"SET", "message.format.version", "9.9"}, {"SET", "message.timestamp.type", "createtime"},
            {"SET", "remote.log.copy.disable", "true"}, {"SET", "remote.log.delete.on.disable", "true"}, {"SET", "remote.storage.enable", "true"},
            {"SET", "remote.storage.enable", "false"}, {"SET", "local.retention.ms", "-3"},
            {"SET", "leader.replication.throttled.replicas", "*"}, {"SET", "leader.replication.throttled.replicas", "none"},
            {"SET", "leader.replication.throttled.replicas", "0:1,1:2"}, {"SET", "leader.replication.throttled.replicas", "0-1"},
            {"APPEND", "leader.replication.throttled.replicas", "1:7"}, {"SUBTRACT", "leader.replication.throttled.replicas", "0:7"},
            {"SET", "min.insync.replicas", "0"}, {"SET", "min.insync.replicas", "3"}, {"SET", "flush.messages", "0"}, {"SET", "segment.ms", "0"},
            {"SET", "segment.jitter.ms", "-1"}, {"SET", "index.interval.bytes", "-1"}, {"SET", "max.message.bytes", "-1"}, {"SET", "retention.bytes", "-7"},
            {"SET", "unclean.leader.election.enable", "1"}, {"SET", "num.io.threads", "3"}, {"SET", "retention.ms", "1_000"}, {"SET", "retention.ms", "+5"},
            {"SET", "file.delete.delay.ms", "-1"}, {"SET", "delete.retention.ms", "9223372036854775808"},
            {"SET", "retention.ms", "${env:HOME}"},
        };
        for (String[] w : topic) {
            ask("topic", "tuned", w);
            ask("topic", "plain", w);
        }
        String[][] broker = {
            {"SET", "num.io.threads", "3"}, {"SET", "num.io.threads", "2"}, {"SET", "num.io.threads", "14"}, {"SET", "num.io.threads", "15"}, {"SET", "num.io.threads", "0"},
            {"SET", "num.io.threads", "x"}, {"SET", "num.network.threads", "1"}, {"SET", "num.network.threads", "7"}, {"SET", "num.network.threads", "6"},
            {"SET", "num.replica.fetchers", "0"}, {"SET", "num.replica.fetchers", "2"}, {"SET", "num.replica.fetchers", "3"},
            {"SET", "background.threads", "4"}, {"SET", "background.threads", "5"}, {"SET", "num.recovery.threads.per.data.dir", "3"}, {"SET", "num.recovery.threads.per.data.dir", "2"},
            {"SET", "log.cleaner.threads", "4"}, {"SET", "log.cleaner.threads", "9"}, {"SET", "log.cleaner.threads", "0"},
            {"DELETE", "num.io.threads", ""}, {"DELETE", "log.roll.ms", ""}, {"SET", "log.retention.hours", "1"}, {"SET", "log.roll.hours", "1"}, {"SET", "log.dirs", "/tmp"},
            {"SET", "broker.id", "8"}, {"SET", "log.retention.ms", "0"}, {"SET", "log.retention.ms", "-1"}, {"SET", "log.retention.ms", "-5"}, {"SET", "log.roll.ms", "0"},
            {"SET", "log.message.format.version", "3.0"}, {"SET", "message.max.bytes", "-1"}, {"SET", "message.max.bytes", "77"}, {"SET", "some.plugin.key", "v"},
            {"SET", "advertised.listeners", "PLAINTEXT://example.com:9092"}, {"SET", "advertised.listeners", "PLAINTEXT://0.0.0.0:9092"}, {"SET", "advertised.listeners", "OTHER://example.com:9092"},
            {"SET", "advertised.listeners", "garbage"}, {"SET", "listener.security.protocol.map", "PLAINTEXT:SSL"}, {"SET", "listener.security.protocol.map", "OTHER:PLAINTEXT"},
            {"SET", "ssl.keystore.location", "/x"}, {"SET", "sasl.enabled.mechanisms", "PLAIN"}, {"SET", "sasl.jaas.config", "x"}, {"SET", "ssl.client.auth", "none"}, {"SET", "principal.builder.class", "java.lang.String"},
            {"SET", "listener.name.plaintext.max.connections", "10"}, {"SET", "listener.name.plaintext.max.connections", "x"}, {"SET", "listener.name.plaintext.sasl.enabled.mechanisms", "PLAIN"},
            {"SET", "listener.name.plaintext.num.network.threads", "4"}, {"SET", "listener.name.plaintext.log.dirs", "/x"},
            {"SET", "max.connections.per.ip", "0"}, {"SET", "max.connections.per.ip.overrides", "127.0.0.1:5"}, {"SET", "max.connections.per.ip.overrides", "bad host:5"}, {"SET", "max.connections.per.ip.overrides", "nocolon"},
            {"SET", "leader.replication.throttled.rate", "-1"}, {"SET", "leader.replication.throttled.rate", "5"}, {"SET", "follower.replication.throttled.rate", "x"},
            {"SET", "log.cleanup.policy", "shred"}, {"APPEND", "log.cleanup.policy", "compact"}, {"SUBTRACT", "log.cleanup.policy", "delete"}, {"APPEND", "num.io.threads", "1"}, {"APPEND", "no.such.key", "1"},
            {"APPEND", "leader.replication.throttled.rate", "1"}, {"SET", "compression.type", "none"}, {"SET", "unclean.leader.election.enable", "true"}, {"SET", "log.cleaner.dedupe.buffer.size", "1024"},
            {"SET", "log.cleaner.max.compaction.lag.ms", "5", "SET", "log.cleaner.min.compaction.lag.ms", "6"}, {"SET", "producer.id.expiration.ms", "0"}, {"SET", "transaction.partition.verification.enable", "false"},
            {"SET", "log.local.retention.ms", "999999999999"}, {"SET", "min.insync.replicas", "0"}, {"SET", "metric.reporters", ""}, {"SET", "ottla.keeper.enable", "false"},
        };
        for (String[] w : broker) {
            ask("broker", id, w);
            ask("broker", "", w);
        }
        admin.close();
    }
}
