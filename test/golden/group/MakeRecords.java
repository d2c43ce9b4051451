/* SPDX-License-Identifier: Apache-2.0
 *
 * MakeRecords - keys and values of __consumer_offsets, every version, as the classes of Kafka's group coordinator write them.
 *
 * One line each: kind, version, fields as name=value with strings in hex ("-": null), and the bytes in hex.  Values come from a counter and a
 * fixed seed: the output is always the same.  test/unit/group/test_records reads it.
 *
 *	java -cp 'libs/*' MakeRecords.java > records.txt
 */
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.coordinator.group.generated.GroupMetadataKey;
import org.apache.kafka.coordinator.group.generated.GroupMetadataValue;
import org.apache.kafka.coordinator.group.generated.OffsetCommitKey;
import org.apache.kafka.coordinator.group.generated.OffsetCommitValue;

public class MakeRecords {
    static final Random RANDOM = new Random(39);

    static String hex(byte[] bytes) {
        StringBuilder s = new StringBuilder();
        for (byte b : bytes)
            s.append(String.format("%02x", b));
        return s.length() == 0 ? "_" : s.toString();
    }

    static String hex(String s) {
        return s == null ? "-" : hex(s.getBytes(StandardCharsets.UTF_8));
    }

    static String text() {
        String[] some = {"", "g", "some-group", "ein Name \u00fc \u20ac \ud83d\ude00", "x".repeat(200), "a.b_c-1"};
        return some[RANDOM.nextInt(some.length)];
    }

    static byte[] bytes() {
        byte[] b = new byte[RANDOM.nextInt(3) * 70];
        RANDOM.nextBytes(b);
        return b;
    }

    static void line(String kind, int version, String fields, Message m) {
        ByteBuffer b = MessageUtil.toVersionPrefixedByteBuffer((short) version, m);
        byte[] out = new byte[b.remaining()];
        b.get(out);
        System.out.println(kind + " " + version + " " + fields + " " + hex(out));
    }

    static void keys() {
        for (int version = 0; version <= 1; version++) {
            for (int i = 0; i < 6; i++) {
                String group = text(), topic = text();
                int partition = RANDOM.nextInt(100);
                line("offset-key", version, hex(group) + " " + hex(topic) + " " + partition,
                    new OffsetCommitKey().setGroup(group).setTopic(topic).setPartition(partition));
            }
        }
        for (int i = 0; i < 4; i++) {
            String group = text();
            line("group-key", 2, hex(group), new GroupMetadataKey().setGroup(group));
        }
    }

    static void offsets() {
        for (int version = 0; version <= 4; version++) {
            for (int i = 0; i < 8; i++) {
                long offset = i == 0 ? 0 : RANDOM.nextLong() & Long.MAX_VALUE, commit = 1700000000000L + RANDOM.nextInt(), expire = commit + 86400000;
                int epoch = version < 3 ? -1 : RANDOM.nextInt(5) - 1;
                String metadata = text();
                OffsetCommitValue v = new OffsetCommitValue().setOffset(offset).setMetadata(metadata).setCommitTimestamp(commit);
                if (version >= 3)
                    v.setLeaderEpoch(epoch);
                if (version == 1)
                    v.setExpireTimestamp(expire);
                line("offset", version, offset + " " + epoch + " " + hex(metadata) + " " + commit + " " + (version == 1 ? expire : -1), v);
            }
        }
    }

    static void groups() {
        for (int version = 0; version <= 4; version++) {
            for (int i = 0; i < 8; i++) {
                int n = i == 0 ? 0 : RANDOM.nextInt(4);
                String type = n == 0 && i == 0 ? "" : "consumer", protocol = n == 0 ? null : "range", leader = n == 0 ? null : text();
                int generation = RANDOM.nextInt(1000);
                long since = version < 2 ? -1 : 1700000000000L + RANDOM.nextInt();
                List<GroupMetadataValue.MemberMetadata> members = new ArrayList<>();
                StringBuilder s = new StringBuilder();
                for (int j = 0; j < n; j++) {
                    String id = text() + j, instance = version >= 3 && j % 2 == 0 ? text() : null, client = text(), host = "/127.0.0." + j;
                    int session = RANDOM.nextInt(60000), rebalance = version == 0 ? session : RANDOM.nextInt(300000);
                    byte[] subscription = bytes(), assignment = bytes();
                    GroupMetadataValue.MemberMetadata m = new GroupMetadataValue.MemberMetadata().setMemberId(id).setClientId(client).setClientHost(host)
                        .setSessionTimeout(session).setSubscription(subscription).setAssignment(assignment);
                    if (version >= 1)
                        m.setRebalanceTimeout(rebalance);
                    if (version >= 3)
                        m.setGroupInstanceId(instance);
                    members.add(m);
                    s.append(" ").append(hex(id)).append(" ").append(hex(instance)).append(" ").append(hex(client)).append(" ").append(hex(host))
                        .append(" ").append(rebalance).append(" ").append(session).append(" ").append(hex(subscription)).append(" ").append(hex(assignment));
                }
                GroupMetadataValue v = new GroupMetadataValue().setProtocolType(type).setGeneration(generation).setProtocol(protocol).setLeader(leader)
                    .setMembers(members);
                if (version >= 2)
                    v.setCurrentStateTimestamp(since);
                line("group", version, hex(type) + " " + generation + " " + hex(protocol) + " " + hex(leader) + " " + since + " " + n + s, v);
            }
        }
    }

    public static void main(String[] args) {
        keys();
        offsets();
        groups();
    }
}
