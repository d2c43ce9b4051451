/* SPDX-License-Identifier: Apache-2.0
 *
 * MakeVerdicts FILE COUNT: damages small batches in COUNT seeded ways, repairs size and checksum (mostly), writes them one after another into FILE,
 * and what Kafka's leader says to each to standard output: the error, the records it lists, or what it would have stored.  Run by make-golden.
 *
 * A line: position size rules version origin verdict...  Rules are numbered as in rules(); test/unit/record/test_verdicts.c has the same table.
 * The checks before LogValidator are those of UnifiedLog.append, in its order; the broker itself cannot be asked without its files.
 */
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.zip.CRC32;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.utils.*;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.storage.internals.log.*;

public class MakeVerdicts {
	static final long NOW = 1700000000000L;
	static final Random rnd = new Random(Long.getLong("seed", 20240607));
	static final Time time = (Time) Proxy.newProxyInstance(MakeVerdicts.class.getClassLoader(), new Class<?>[] { Time.class },
	    (p, m, a) -> m.getName().equals("milliseconds") || m.getName().equals("nanoseconds") ? NOW : null);
	static final LogValidator.MetricsRecorder metrics = new LogValidator.MetricsRecorder() {
		public void recordInvalidMagic() { }
		public void recordInvalidOffset() { }
		public void recordInvalidSequence() { }
		public void recordInvalidChecksums() { }
		public void recordNoKeyCompactedTopic() { }
	};

	record Rules(Compression target, TimestampType tt, long before, long after, boolean compact, int max) { }
	static final TimestampType CT = TimestampType.CREATE_TIME, LAT = TimestampType.LOG_APPEND_TIME;
	static final Rules[] RULES = {
		new Rules(null, CT, Long.MAX_VALUE, Long.MAX_VALUE, false, 1048588),
		new Rules(null, LAT, Long.MAX_VALUE, Long.MAX_VALUE, false, 1048588),
		new Rules(null, CT, 1000, 500, false, 1048588),
		new Rules(null, CT, 1000, 500, true, 1048588),
		new Rules(null, CT, Long.MAX_VALUE, Long.MAX_VALUE, true, 110),
		new Rules(Compression.NONE, CT, Long.MAX_VALUE, Long.MAX_VALUE, false, 1048588),
		new Rules(Compression.gzip().build(), LAT, Long.MAX_VALUE, Long.MAX_VALUE, false, 1048588),
		new Rules(Compression.lz4().build(), CT, 1000, 500, true, 1048588),
	};

	static byte[] utf8(String s) { return s == null ? null : s.getBytes(StandardCharsets.UTF_8); }
	static <T> T pick(T[] a) { return a[rnd.nextInt(a.length)]; }

	static byte[] pack(CompressionType t, byte[] b) throws Exception {
		ByteBufferOutputStream o = new ByteBufferOutputStream(1 << 12);
		try (OutputStream s = Compression.of(t).build().wrapForOutput(o, (byte) 2)) { s.write(b); }
		o.buffer().flip();
		byte[] r = new byte[o.buffer().remaining()];
		o.buffer().get(r);
		return r;
	}

	/* The uncompressed body of a few records. */
	static byte[] body(int count) {
		MemoryRecordsBuilder b = new MemoryRecordsBuilder(new ByteBufferOutputStream(1 << 12), (byte) 2, Compression.NONE, CT, 0, -1, -1, (short) -1, -1, false,
		    false, -1, 1 << 20);
		int gap = rnd.nextInt(12) == 0 ? 1 : 0;
		for (int i = 0; i < count; i++) {
			String k = rnd.nextInt(5) == 0 ? null : "k".repeat(rnd.nextInt(5)), v = rnd.nextInt(5) == 0 ? null : "v".repeat(rnd.nextInt(20));
			long ts = rnd.nextInt(8) == 0 ? -1 : NOW + rnd.nextInt(1700) - 1050;
			Header[] hs = rnd.nextInt(3) != 0 ? new Header[0] : new Header[] { new RecordHeader("h", rnd.nextInt(2) == 0 ? null : utf8("x")) };
			b.appendWithOffset(i + (i == count - 1 ? gap : 0), ts, utf8(k), utf8(v), hs);
		}
		ByteBuffer buf = b.build().buffer();
		byte[] r = new byte[buf.remaining() - 61];
		buf.position(61);
		buf.get(r);
		return r;
	}

	static byte[] damage(byte[] b, int times) {
		b = b.clone();
		for (int i = 0; i < times && b.length > 0; i++)
			switch (rnd.nextInt(5)) {
			case 0: b[rnd.nextInt(b.length)] ^= 1 << rnd.nextInt(8); break;
			case 1: b[rnd.nextInt(b.length)] = (byte) rnd.nextInt(256); break;
			case 2: b[rnd.nextInt(b.length)] = (byte) rnd.nextInt(8); break;
			case 3: b = Arrays.copyOf(b, rnd.nextInt(b.length)); break;
			default: b = Arrays.copyOf(b, b.length + 1 + rnd.nextInt(3));
			}
		return b;
	}

	static byte[] makeCase() throws Exception {
		int count = 1 + rnd.nextInt(4), how = rnd.nextInt(10);
		CompressionType t = pick(CompressionType.values());
		byte[] plain = body(count);
		if (how < 3)
			plain = damage(plain, 1 + rnd.nextInt(2));
		byte[] packed = t == CompressionType.NONE ? plain : pack(t, plain);
		if (how == 3)
			packed = damage(packed, 1);
		ByteBuffer b = ByteBuffer.allocate(61 + packed.length);
		b.position(61);
		b.put(packed);
		b.position(0);
		boolean idem = rnd.nextInt(3) == 0;
		DefaultRecordBatch.writeHeader(b, 0, count - 1, 61 + packed.length, (byte) 2, t, rnd.nextInt(8) == 0 ? LAT : CT, NOW + rnd.nextInt(3),
		    NOW + rnd.nextInt(3), idem ? 7 : -1, (short) (idem ? 0 : -1), idem ? rnd.nextInt(3) : -1, idem && rnd.nextBoolean(), false, false, -1, count);
		b.position(0);
		if (how == 4 || how == 5)
			switch (rnd.nextInt(9)) {
			case 0: b.putLong(0, pick(new Long[] { 1L, -1L, Long.MAX_VALUE })); break;
			case 1: b.put(16, (byte) rnd.nextInt(4)); break;
			case 2: b.putShort(21, (short) (b.getShort(21) ^ 1 << rnd.nextInt(16))); break;
			case 3: b.putInt(23, pick(new Integer[] { -1, 0, 1, 2, 3, 4, Integer.MAX_VALUE, Integer.MIN_VALUE })); break;
			case 4: b.putInt(57, pick(new Integer[] { -1, 0, 1, 2, 3, 4, Integer.MAX_VALUE, Integer.MIN_VALUE })); break;
			case 5: int n = pick(new Integer[] { 1, 2, 3, 4 }); b.putInt(57, n); b.putInt(23, n - 1); break;
			case 6: b.putLong(27, pick(new Long[] { -1L, 0L, Long.MIN_VALUE, Long.MAX_VALUE, NOW - 2000, NOW + 600 })); break;
			case 7: b.putLong(35, pick(new Long[] { -1L, 0L, Long.MIN_VALUE, Long.MAX_VALUE, NOW })); break;
			default: b.putLong(43, pick(new Long[] { -1L, 0L, 7L, Long.MIN_VALUE })); b.putInt(53, rnd.nextInt(3) - 2);
			}
		if (how != 6 || rnd.nextBoolean())
			b.putInt(17, (int) Crc32C.compute(b, 21, b.limit() - 21));
		byte[] all = b.array();
		if (how == 6)
			all = damage(all, 1);
		if (how == 7 && rnd.nextBoolean()) {	/* a second batch, or the beginning of one */
			all = Arrays.copyOf(all, 2 * all.length);
			System.arraycopy(all, 0, all, all.length / 2, all.length / 2);
			all = Arrays.copyOf(all, all.length - (rnd.nextInt(3) == 0 ? 0 : rnd.nextInt(all.length / 2)));
		}
		return all;
	}

	/* UnifiedLog.analyzeAndValidateRecords, for a leader. */
	static int analyze(MemoryRecords records, Rules r, CompressionType[] source) {
		int valid = 0;
		for (RecordBatch b : records.batches()) {
			if (b.magic() >= 2 && b.baseOffset() != 0)
				throw new InvalidRecordException("base offset");
			if (b.sizeInBytes() > r.max)
				throw new RecordTooLargeException("size");
			if (!b.isValid())
				throw new CorruptRecordException("crc");
			valid += b.sizeInBytes();
			if (b.compressionType() != CompressionType.NONE)
				source[0] = b.compressionType();
		}
		return valid;
	}

	static String stored(LogValidator.ValidationResult v) throws Exception {
		CRC32 crc = new CRC32();
		ByteBuffer bytes = v.validatedRecords.buffer().duplicate();
		String facts = "";
		try {
			for (RecordBatch b : v.validatedRecords.batches()) {
				facts = String.format("maxts=%d last=%d", b.maxTimestamp(), b.lastOffset());
				try (CloseableIterator<Record> it = b.streamingIterator(BufferSupplier.NO_CACHING)) {
					while (it.hasNext())
						ReadBatches.digest(crc, it.next());
				}
			}
		} catch (Throwable e) {
			return "POISON";
		}
		String digest = String.format("%s digest=%08x", facts, crc.getValue());
		CRC32 all = new CRC32();
		all.update(bytes);
		boolean compressed = v.validatedRecords.batches().iterator().next().isCompressed();
		if (v.messageSizeMaybeChanged)
			return compressed ? "REBUILT " + digest : String.format("REBUILT bytes=%08x %s", all.getValue(), digest);
		return String.format("STORED bytes=%08x %s", all.getValue(), digest);
	}

	static String verdict(byte[] bytes, Rules r, short version) throws Exception {
		MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(bytes.clone()));
		try {
			ProduceRequest.validateRecords(version, records);
			CompressionType[] source = { CompressionType.NONE };
			int valid = analyze(records, r, source);
			if (valid == 0)
				return "NOTHING";
			ByteBuffer trimmed = records.buffer().duplicate();
			trimmed.limit(valid);
			Compression target = r.target == null ? Compression.of(source[0]).build() : r.target;
			LogValidator.ValidationResult v = new LogValidator(MemoryRecords.readableRecords(trimmed), new TopicPartition("t", 0), time, source[0], target,
			    r.compact, (byte) 2, r.tt, r.before, r.after, 7, AppendOrigin.CLIENT, MetadataVersion.latestTesting())
			    .validateMessagesAndAssignOffsets(PrimitiveRef.ofLong(1000), metrics, BufferSupplier.NO_CACHING);
			for (RecordBatch b : v.validatedRecords.batches())
				if (v.messageSizeMaybeChanged && b.sizeInBytes() > r.max)
					throw new RecordTooLargeException("rebuilt");
			return stored(v);
		} catch (RecordValidationException e) {
			StringBuilder s = new StringBuilder(Errors.forException(e.invalidException()).name()).append(" errors=");
			e.recordErrors().forEach(x -> s.append(x.batchIndex).append(','));
			return s.toString();
		} catch (OutOfMemoryError e) {
			return "MEMORY";
		} catch (Throwable e) {
			return Errors.forException(e).name();
		}
	}

	public static void main(String[] args) throws Exception {
		try (OutputStream out = new FileOutputStream(args[0])) {
			StringBuilder text = new StringBuilder();
			long position = 0;
			for (int i = 0; i < Integer.parseInt(args[1]); i++) {
				byte[] b = makeCase();
				int rules = rnd.nextInt(3) == 0 ? 0 : rnd.nextInt(RULES.length);
				short version = (short) (rnd.nextInt(10) == 0 ? 6 : 11);
				text.append(String.format("%d %d %d %d %s\n", position, b.length, rules, version, verdict(b, RULES[rules], version)));
				out.write(b);
				position += b.length;
			}
			System.out.print(text);
		}
	}
}
