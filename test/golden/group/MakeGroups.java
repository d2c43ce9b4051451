/* SPDX-License-Identifier: Apache-2.0
 *
 * MakeGroups.java BOOTSTRAP PHASE none|some|last (transactions): what a Java broker of some age of its protocol writes into __consumer_offsets, and at the end
 * (PHASE "expected") what it says of it: lines "state GROUP STATE MEMBERS" and "offset GROUP PARTITION OFFSET LEADER-EPOCH METADATA".
 *
 *   simple-X    commits without a group, with metadata and leader epoch, one twice
 *   old-X       a commit of version 2 that says how long it is to be kept
 *   forgot-X    one of two offsets is deleted
 *   deleted-X   a group that is deleted
 *   left-X      a consumer that commits and leaves
 *   static-X    a static member, which does not leave; in the last phase, as those before do not know them
 *   txn-X       a transaction that commits partition 0, one that commits 1 and is aborted; in the last phase one for 2 stays open
 */
import java.io.*;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.OffsetCommitRequestData;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.serialization.*;

public class MakeGroups {
	static String bootstrap;

	static TopicPartition t(int partition) {
		return new TopicPartition("t", partition);
	}

	static Map<TopicPartition, OffsetAndMetadata> at(int partition, long offset, String metadata) {
		return Map.of(t(partition), new OffsetAndMetadata(offset, Optional.of(3), metadata));
	}

	static KafkaConsumer<String, String> consumer(String group, String instance) {
		Properties p = new Properties();
		p.put("bootstrap.servers", bootstrap);
		p.put("group.id", group);
		p.put("client.id", "client of " + group);
		p.put("enable.auto.commit", false);
		p.put("session.timeout.ms", 1800000);
		if (instance != null)
			p.put("group.instance.id", instance);
		return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
	}

	static void member(String group, String instance, long offset) {
		try (var c = consumer(group, instance)) {
			c.subscribe(List.of("t"));
			while (c.assignment().size() < 3)
				c.poll(Duration.ofMillis(100));
			c.commitSync(at(0, offset, "by a member"));
		}
	}

	static void old(String group, long offset) throws Exception {
		var partition = new OffsetCommitRequestData.OffsetCommitRequestPartition().setPartitionIndex(0).setCommittedOffset(offset).setCommittedMetadata("kept");
		var data = new OffsetCommitRequestData().setGroupId(group).setGenerationIdOrMemberEpoch(-1).setMemberId("").setRetentionTimeMs(1000L * 86400 * 3650)
		    .setTopics(List.of(new OffsetCommitRequestData.OffsetCommitRequestTopic().setName("t").setPartitions(List.of(partition))));
		var header = new RequestHeaderData().setRequestApiKey((short)8).setRequestApiVersion((short)2).setCorrelationId(1).setClientId("old");
		ByteBuffer h = MessageUtil.toByteBuffer(header, (short)1), d = MessageUtil.toByteBuffer(data, (short)2);
		String[] place = bootstrap.split(":");
		try (var s = new Socket(place[0], Integer.parseInt(place[1]))) {
			var out = new DataOutputStream(s.getOutputStream());
			out.writeInt(h.remaining() + d.remaining());
			out.write(h.array(), h.position(), h.remaining());
			out.write(d.array(), d.position(), d.remaining());
			byte[] answer = s.getInputStream().readNBytes(4 + 4 + 4 + 2 + 1 + 4 + 4 + 2);
			if (answer[answer.length - 1] != 0)
				throw new IOException("error " + answer[answer.length - 1]);
		}
	}

	static void transactions(String phase, boolean open) {
		for (int i = 0; i < (open ? 3 : 2); i++) {
			Properties p = new Properties();
			p.put("bootstrap.servers", bootstrap);
			p.put("transactional.id", phase + i);
			p.put("transaction.timeout.ms", 900000);
			var k = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
			k.initTransactions();
			k.beginTransaction();
			k.sendOffsetsToTransaction(at(i, 21 + i, "in a transaction"), new ConsumerGroupMetadata("txn-" + phase));
			if (i == 0)
				k.commitTransaction();
			else if (i == 1)
				k.abortTransaction();
			if (i < 2)
				k.close();
		}
	}

	static void phase(Admin a, String x, boolean txn, boolean last) throws Exception {
		if (!a.listTopics().names().get().contains("t"))
			a.createTopics(List.of(new NewTopic("t", 3, (short)1))).all().get();
		for (int i = 0; i < 3; i++)
			a.alterConsumerGroupOffsets("simple-" + x, at(i % 2, 11 + i, i == 2 ? "" : "m\u00fc" + i)).all().get();
		old("old-" + x, 31);
		for (int i = 0; i < 2; i++)
			a.alterConsumerGroupOffsets("forgot-" + x, at(i, 41 + i, "")).all().get();
		a.deleteConsumerGroupOffsets("forgot-" + x, Set.of(t(1))).all().get();
		a.alterConsumerGroupOffsets("deleted-" + x, at(0, 51, "")).all().get();
		a.deleteConsumerGroups(List.of("deleted-" + x)).all().get();
		member("left-" + x, null, 61);
		if (last)
			member("static-" + x, "one", 71);
		if (txn)
			transactions(x, last);
	}

	static void expected(Admin a) throws Exception {
		TreeSet<String> groups = new TreeSet<>();
		for (var g : a.listConsumerGroups().all().get())
			groups.add(g.groupId());
		for (String g : groups) {
			var d = a.describeConsumerGroups(List.of(g)).all().get().get(g);
			System.out.println("state " + g + " " + d.state() + " " + d.members().size());
			var offsets = new TreeMap<Integer, OffsetAndMetadata>();
			a.listConsumerGroupOffsets(g).partitionsToOffsetAndMetadata().get().forEach((p, o) -> offsets.put(p.partition(), o));
			offsets.forEach((p, o) -> System.out.println("offset " + g + " " + p + " " + o.offset() + " " + o.leaderEpoch().orElse(-1) + " "
			    + HexFormat.of().formatHex(o.metadata().getBytes(StandardCharsets.UTF_8)) + "."));
		}
	}

	public static void main(String[] args) throws Exception {
		bootstrap = args[0];
		try (Admin a = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
			if (args[1].equals("expected"))
				expected(a);
			else
				phase(a, args[1], !args[2].equals("none"), args[2].equals("last"));
		}
		System.out.flush();
		Runtime.getRuntime().halt(0);	/* with a transaction open */
	}
}
