/* SPDX-License-Identifier: Apache-2.0
 *
 * MakeLogs.java BOOTSTRAP first|second: fills a Java broker's topics for the golden log directories and prints what a reader should find.
 *
 *   plain    one record per batch, one batch per append, timestamps 1600000000000 + 1000 i: indexes follow a rule that can be checked
 *   codecs   batches of every codec
 *   idem     an idempotent producer, and another one
 *   txn      a committed, an aborted, a committed transaction, and one that stays open
 *   trimmed  records deleted below 42
 */
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringSerializer;

public class MakeLogs {
	static String bootstrap;

	static KafkaProducer<String, String> producer(Object... kv) {
		Properties p = new Properties();
		p.put("bootstrap.servers", bootstrap);
		p.put("key.serializer", StringSerializer.class.getName());
		p.put("value.serializer", StringSerializer.class.getName());
		p.put("acks", "all");
		p.put("enable.idempotence", false);
		for (int i = 0; i < kv.length; i += 2)
			p.put((String)kv[i], kv[i + 1]);
		return new KafkaProducer<>(p);
	}

	static void one(KafkaProducer<String, String> p, String topic, long ts, String value) throws Exception {
		p.send(new ProducerRecord<>(topic, 0, ts, "key", value)).get();
	}

	static void several(KafkaProducer<String, String> p, String topic, long ts, int n) throws Exception {
		List<java.util.concurrent.Future<RecordMetadata>> fs = new ArrayList<>();
		for (int i = 0; i < n; i++)
			fs.add(p.send(new ProducerRecord<>(topic, 0, ts + i, "key" + i, "the same words again and again " + i)));
		p.flush();
		for (var f : fs)
			f.get();
	}

	static void plain(int from, int to) throws Exception {
		try (var p = producer("linger.ms", 0, "batch.size", 0)) {
			for (int i = from; i < to; i++)
				one(p, "plain", 1600000000000L + 1000L * i, "value " + i);
		}
	}

	static void first(Admin admin) throws Exception {
		Map<String, String> cfg = Map.of("segment.bytes", "4096", "index.interval.bytes", "256", "retention.ms", "-1");
		List<NewTopic> topics = new ArrayList<>();
		for (String t : new String[] { "plain", "codecs", "idem", "txn", "trimmed" })
			topics.add(new NewTopic(t, 1, (short)1).configs(cfg));
		admin.createTopics(topics).all().get();
		plain(0, 200);
		for (String codec : new String[] { "none", "gzip", "snappy", "lz4", "zstd" })
			try (var p = producer("compression.type", codec, "linger.ms", 200))  {
				several(p, "codecs", 1600000000000L, 20);
				several(p, "codecs", 1600000100000L, 7);
			}
		for (int k = 0; k < 2; k++)
			try (var p = producer("enable.idempotence", true, "linger.ms", 100)) {
				for (int i = 0; i < 7; i++)
					several(p, "idem", System.currentTimeMillis(), 3 + i);
			}
		transactions();
		try (var p = producer("linger.ms", 0)) {
			for (int i = 0; i < 100; i++)
				one(p, "trimmed", 1600000000000L + i, "a value that is a little longer, so that segments roll " + i);
		}
		admin.deleteRecords(Map.of(new TopicPartition("trimmed", 0), RecordsToDelete.beforeOffset(42))).all().get();
	}

	static KafkaProducer<String, String> open;

	static void transactions() throws Exception {
		try (var p = producer("enable.idempotence", true, "transactional.id", "a")) {
			p.initTransactions();
			p.beginTransaction(); several(p, "txn", System.currentTimeMillis(), 5); p.commitTransaction();
			p.beginTransaction(); several(p, "txn", System.currentTimeMillis(), 4); p.abortTransaction();
			p.beginTransaction(); several(p, "txn", System.currentTimeMillis(), 3); p.commitTransaction();
		}
		open = producer("enable.idempotence", true, "transactional.id", "b", "transaction.timeout.ms", 900000);
		open.initTransactions();
		open.beginTransaction();
		several(open, "txn", System.currentTimeMillis(), 2);
		try (var p = producer("linger.ms", 0)) {
			one(p, "txn", System.currentTimeMillis(), "not transactional");
		}
	}

	static long offset(Admin admin, TopicPartition tp, OffsetSpec spec) throws Exception {
		return admin.listOffsets(Map.of(tp, spec)).partitionResult(tp).get().offset();
	}

	static void print(Admin admin) throws Exception {
		for (String t : new String[] { "plain", "codecs", "idem", "txn", "trimmed" }) {
			TopicPartition tp = new TopicPartition(t, 0);
			var rc = new ListOffsetsOptions(org.apache.kafka.common.IsolationLevel.READ_COMMITTED);
			var max = admin.listOffsets(Map.of(tp, OffsetSpec.maxTimestamp())).partitionResult(tp).get();
			System.out.printf("log %s start %d end %d stable %d maxts %d at %d%n", t, offset(admin, tp, OffsetSpec.earliest()),
			    offset(admin, tp, OffsetSpec.latest()), admin.listOffsets(Map.of(tp, OffsetSpec.latest()), rc).partitionResult(tp).get().offset(),
			    max.timestamp(), max.offset());
			var at = admin.listOffsets(Map.of(tp, OffsetSpec.forTimestamp(1600000050500L))).partitionResult(tp).get();
			System.out.printf("time %s 1600000050500 offset %d timestamp %d%n", t, at.offset(), at.timestamp());
			var ps = new ArrayList<>(admin.describeProducers(List.of(tp)).partitionResult(tp).get().activeProducers());
			ps.sort(Comparator.comparingLong(ProducerState::producerId));
			for (var p : ps)
				System.out.printf("producer %s id %d epoch %d sequence %d timestamp %d coordinator %d txn %d%n", t, p.producerId(), p.producerEpoch(),
				    p.lastSequence(), p.lastTimestamp(), p.coordinatorEpoch().orElse(-1), p.currentTransactionStartOffset().orElse(-1));
		}
	}

	public static void main(String[] args) throws Exception {
		bootstrap = args[0];
		try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
			if (args[1].equals("first"))
				first(admin);
			else
				plain(200, 330);
			print(admin);
		}
		System.out.flush();
		Runtime.getRuntime().halt(0);	/* the open transaction stays open */
	}
}
