/* SPDX-License-Identifier: Apache-2.0
 *
 * MakeConverted FILE COUNT: sets of batches, and what the Java client makes of each when it converts it to magic 0 or 1 for an old fetcher.  FILE gets the
 * source and behind it the result; standard output a line for each: position, length, magic wanted, first offset wanted, verdict, length of the result.
 * Verdicts: ok, zstd (UnsupportedCompressionTypeException), failed (another exception).  Run by make-golden; test_downconvert compares.
 */
import java.io.ByteArrayOutputStream;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.UnsupportedCompressionTypeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.utils.Time;

public class MakeConverted {
	static final Random rnd = new Random(Long.getLong("seed", 20011231));
	static final long T = MakeBatches.T;

	static byte[] bytes(ByteBuffer b) {
		byte[] r = new byte[b.remaining()];
		b.duplicate().get(r);
		return r;
	}

	static String words(int max) { return rnd.nextInt(6) == 0 ? null : ("w" + rnd.nextInt(100)).repeat(rnd.nextInt(max)); }

	static byte[] batch(long base) throws Exception {
		int magic = rnd.nextInt(4) == 0 ? rnd.nextInt(2) : 2, how = rnd.nextInt(16);
		CompressionType t = CompressionType.values()[rnd.nextInt(24) == 0 ? 4 : rnd.nextInt(4)];
		TimestampType tt = rnd.nextInt(4) == 0 && magic > 0 ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME;
		List<MakeBatches.Rec> recs = new ArrayList<>();
		long offset = base;

		if (magic < 2 && t == CompressionType.ZSTD)
			t = CompressionType.GZIP;
		if (how == 0 && magic == 2)
			return bytes(MemoryRecords.withEndTransactionMarker(base, T, 3, 77, (short) 1,
			    new EndTransactionMarker(rnd.nextBoolean() ? ControlRecordType.COMMIT : ControlRecordType.ABORT, 4)).buffer());
		if (how == 1 && magic == 2) {
			ByteBuffer empty = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
			DefaultRecordBatch.writeEmptyHeader(empty, (byte) 2, 9, (short) 0, 4, base, base + 3, 1, tt, T, false, false);
			empty.flip();
			return bytes(empty);
		}
		for (int n = rnd.nextInt(rnd.nextInt(20) == 0 ? 300 : 8); n >= 0; n--) {
			Header[] h = new Header[magic == 2 && rnd.nextInt(3) == 0 ? rnd.nextInt(3) : 0];
			for (int i = 0; i < h.length; i++)
				h[i] = new RecordHeader("h" + i, MakeBatches.utf8(words(3)));
			long ts = rnd.nextInt(6) == 0 ? -1 : T + rnd.nextInt(1000);
			recs.add(MakeBatches.rec(offset, magic == 0 ? -1 : ts, words(4), words(rnd.nextInt(30) == 0 ? 3000 : 12), h));
			offset += rnd.nextInt(5) == 0 ? 1 + rnd.nextInt(4) : 1;
		}
		boolean producer = magic == 2 && rnd.nextInt(3) == 0;
		byte[] b = bytes(MakeBatches.build((byte) magic, Compression.of(t).build(), tt, base, producer ? 55 : -1, (short) (producer ? 2 : -1), producer ? 7 : -1,
		    producer && rnd.nextBoolean(), magic == 2 && rnd.nextInt(12) == 0 ? T + 5 : -1, recs));
		if (how == 2 && magic == 2)	/* times that no older format may be given */
			ByteBuffer.wrap(b).putLong(27, -1000000);
		if (how == 3 && rnd.nextInt(4) == 0)
			b[17 + rnd.nextInt(b.length - 17)] ^= 1 << rnd.nextInt(8);
		return b;
	}

	static byte[] set() throws Exception {
		ByteArrayOutputStream o = new ByteArrayOutputStream();
		long base = rnd.nextInt(3) == 0 ? (long) rnd.nextInt(1000) << 33 : rnd.nextInt(50);
		for (int n = rnd.nextInt(4); n >= 0; n--) {
			o.write(batch(base));
			base += 400 + rnd.nextInt(3);
		}
		return o.toByteArray();
	}

	public static void main(String[] args) throws Exception {
		try (OutputStream out = new FileOutputStream(args[0])) {
			long position = 0;
			for (int i = 0; i < Integer.parseInt(args[1]); i++) {
				byte[] source = set(), result = new byte[0];
				byte magic = (byte) rnd.nextInt(2);
				MemoryRecords r = MemoryRecords.readableRecords(ByteBuffer.wrap(source));
				String verdict = "ok";
				long first = 0;
				try {
					first = rnd.nextInt(2) == 0 ? 0 : r.batches().iterator().next().lastOffset() - rnd.nextInt(4);
					result = bytes(((MemoryRecords) r.downConvert(magic, first, Time.SYSTEM).records()).buffer());
				} catch (UnsupportedCompressionTypeException e) {
					verdict = "zstd";
				} catch (Exception e) {
					verdict = "failed";
				}
				System.out.printf("%d %d %d %d %s %d\n", position, source.length, magic, first, verdict, result.length);
				out.write(source);
				out.write(result);
				position += source.length + result.length;
			}
		}
	}
}
