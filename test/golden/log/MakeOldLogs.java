/* SPDX-License-Identifier: Apache-2.0
 *
 * MakeOldLogs.java DIR: a log directory with segments of message formats 0 and 1, as a broker before 0.11 wrote them, their indexes rebuilt by Kafka's
 * LogSegment.recover; prints what Kafka reads there:
 *
 *   read TOPIC OFFSET POSITION SIZE	where a fetch at that offset begins, and how long the first message or wrapper is
 *   time TOPIC WHEN offset OFFSET timestamp TIME	-1 -1: nothing is that late
 *   records TOPIC COUNT CRC	of all records: CRC-32 over offset, timestamp, lengths, key and value
 */
import java.io.File;
import java.io.FileOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.*;
import java.util.zip.CRC32;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.storage.internals.log.*;

public class MakeOldLogs {
	static final long T = 1600000000000L;
	static final Random rnd = new Random(1);
	static File dir;
	static long next;
	static FileOutputStream out;

	static byte[] words(String s) { return s == null ? null : s.getBytes(StandardCharsets.UTF_8); }

	/* n messages in one wrapper, or each by itself; some offsets are missing, as after compaction. */
	static void append(byte magic, Compression c, TimestampType tt, int n) throws Exception {
		ByteBuffer buf = ByteBuffer.allocate(1 << 16);
		MemoryRecordsBuilder b = MemoryRecords.builder(buf, magic, c, tt, next, T + 50000 + next);
		for (int i = 0; i < n; i++) {
			b.appendWithOffset(next, magic == 0 ? -1 : T + 1000 * next + rnd.nextInt(9000), words(rnd.nextInt(4) == 0 ? null : "key " + i % 3),
			    words(rnd.nextInt(9) == 0 ? null : "some value of offset " + next));
			next += rnd.nextInt(6) == 0 ? 2 : 1;
		}
		ByteBuffer made = b.build().buffer();
		byte[] bytes = new byte[made.remaining()];
		made.get(bytes);
		out.write(bytes);
	}

	static void fill(byte magic) throws Exception {
		Compression[] all = { Compression.NONE, Compression.gzip().build(), Compression.snappy().build(), Compression.lz4().build() };
		for (int i = 0; i < 14; i++)
			append(magic, all[i % 4], i % 5 == 3 && magic > 0 ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME, 3 + rnd.nextInt(8));
	}

	static void print(String topic, List<LogSegment> segments, long end) throws Exception {
		CRC32 crc = new CRC32();
		int n = 0;
		for (LogSegment s : segments)
			for (RecordBatch b : s.log().batches())
				for (org.apache.kafka.common.record.Record r : b) {
					ByteBuffer h = ByteBuffer.allocate(24).putLong(r.offset()).putLong(r.timestamp()).putInt(r.keySize()).putInt(r.valueSize());
					crc.update(h.array());
					if (r.hasKey())
						crc.update(r.key());
					if (r.hasValue())
						crc.update(r.value());
					n++;
				}
		System.out.printf("records %s %d %d\n", topic, n, crc.getValue());
		for (long o = 0; o < end; o++) {
			int i = 0;
			while (i + 1 < segments.size() && segments.get(i + 1).baseOffset() <= o)
				i++;
			FetchDataInfo f = null;
			for (; f == null; i++)	/* null: the offset lies behind what the segment has */
				f = segments.get(i).read(o, 1, Optional.of((long) segments.get(i).size()), true);
			System.out.printf("read %s %d %d %d\n", topic, o, f.fetchOffsetMetadata.relativePositionInSegment, f.records.batches().iterator().next().sizeInBytes());
		}
		for (long when = T - 500; !topic.equals("v0") && when < T + 1000 * end + 20000; when += 700) {
			Optional<FileRecords.TimestampAndOffset> found = Optional.empty();
			for (LogSegment s : segments)
				if (s.largestTimestamp() >= when) {
					found = s.findOffsetByTimestamp(when, 0);
					break;
				}
			System.out.printf("time %s %d offset %d timestamp %d\n", topic, when, found.map(x -> x.offset).orElse(-1L), found.map(x -> x.timestamp).orElse(-1L));
		}
	}

	static void log(String topic, byte[] magics) throws Exception {
		File d = new File(dir, topic + "-0");
		Properties p = new Properties();
		p.put("segment.bytes", "4096");
		p.put("segment.index.bytes", "8192");
		p.put("index.interval.bytes", "256");
		LogConfig config = new LogConfig(p);
		List<LogSegment> segments = new ArrayList<>();
		d.mkdirs();
		next = 0;
		for (byte magic : magics) {
			long base = next;
			out = new FileOutputStream(new File(d, String.format("%020d.log", base)));
			fill(magic);
			out.close();
			LogSegment s = LogSegment.open(d, base, config, Time.SYSTEM, true, 0, false, "");
			s.recover(new ProducerStateManager(new TopicPartition(topic, 0), d, 900000, new ProducerStateManagerConfig(86400000, false), Time.SYSTEM), Optional.empty());
			s.onBecomeInactiveSegment();
			segments.add(s);
			next += 3;
		}
		print(topic, segments, next - 5);
		for (LogSegment s : segments)
			s.close();
	}

	public static void main(String[] args) throws Exception {
		dir = new File(args[0]);
		log("v0", new byte[] { 0, 0, 0 });
		log("v1", new byte[] { 1, 1, 1 });
		log("both", new byte[] { 0, 1, 0, 1 });
		Files.writeString(new File(dir, "meta.properties").toPath(), "version=0\nbroker.id=7\ncluster.id=an-old-cluster-of-kaf\n");
	}
}
