/* SPDX-License-Identifier: Apache-2.0
 *
 * MakeBatches FILE: writes record batches, as the Java client builds them, one after another into FILE, and "name position size" of each
 * group to standard output.  Run by make-golden; ReadBatches says what is in them.
 */
import java.io.ByteArrayOutputStream;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.compress.Lz4BlockOutputStream;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.utils.ByteBufferOutputStream;

public class MakeBatches {
	static final long T = 1700000000000L;
	static OutputStream out;
	static long position;

	record Rec(long offset, long ts, byte[] key, byte[] value, Header[] headers) { }

	static byte[] utf8(String s) { return s == null ? null : s.getBytes(StandardCharsets.UTF_8); }
	static Rec rec(long off, long ts, String k, String v, Header... h) { return new Rec(off, ts, utf8(k), utf8(v), h); }

	static void emit(String name, ByteBuffer b) throws Exception {
		byte[] bytes = new byte[b.remaining()];
		b.get(bytes);
		System.out.println(name + " " + position + " " + bytes.length);
		out.write(bytes);
		position += bytes.length;
	}

	static ByteBuffer build(byte magic, Compression c, TimestampType tt, long base, long pid, short pe, int seq, boolean txn, long horizon, List<Rec> recs) {
		ByteBufferOutputStream bs = new ByteBufferOutputStream(1 << 20);
		MemoryRecordsBuilder b = new MemoryRecordsBuilder(bs, magic, c, tt, base, tt == TimestampType.LOG_APPEND_TIME ? T + 777 : -1L,
		    pid, pe, seq, txn, false, magic == 2 ? 5 : -1, 1 << 30, horizon);
		for (Rec r : recs)
			b.appendWithOffset(r.offset, r.ts, r.key, r.value, r.headers == null ? new Header[0] : r.headers);
		return b.build().buffer();
	}

	static ByteBuffer plain(Compression c, TimestampType tt, List<Rec> recs) {
		return build((byte) 2, c, tt, recs.get(0).offset, -1, (short) -1, -1, false, -1, recs);
	}

	static String repeat(String s, int bytes) { return s.repeat(bytes / s.length() + 1).substring(0, bytes); }

	static List<Rec> many(int n) {
		List<Rec> l = new ArrayList<>();
		for (int i = 0; i < n; i++)
			l.add(rec(5000 + i, T + i * 37L % 1000, "key-" + i % 97, "value " + i + " " + "x".repeat(i % 61)));
		return l;
	}

	static List<List<Rec>> shapes() {
		byte[] noise = new byte[3000];
		new Random(42).nextBytes(noise);
		Header[] hs = { new RecordHeader("trace", utf8("abc")), new RecordHeader("", new byte[0]), new RecordHeader("n\u00fcll", null),
		    new RecordHeader("trace", utf8(repeat("0123456789", 300))) };
		return List.of(
		    List.of(rec(0, T, "k1", "v1"), rec(1, T + 1, "k2", "v2"), rec(2, T + 2, "k3", "v3")),
		    List.of(rec(100, T, null, "v"), rec(101, T, "k", null), rec(102, T, null, null), rec(103, T, "", ""), rec(104, T, repeat("k", 200), "")),
		    List.of(rec(7, T, "k", "v", hs), rec(8, T + 5, null, null, hs[2]), rec(9, T + 6, null, "w")),
		    List.of(rec(1L << 40, T, "big", repeat("the quick brown fox jumps over the lazy dog. ", 300 << 10)), rec((1L << 40) + 1, T + 1, "after", "it")),
		    many(500),
		    List.of(rec(3, T + 90, "a", "1"), rec(4, T - 500000000L, "b", "2"), rec(5, T + 100000, "c", "3"), rec(6, T, "d", "4")),
		    List.of(rec(11, -1, "a", "1"), rec(12, -1, "b", "2")),
		    List.of(rec(20, T, "a", "1"), rec(25, T, "b", "2"), rec(1020, T, "c", "3")),
		    List.of(new Rec(30, T, utf8("noise"), noise, null), rec(31, T, "x", "y")));
	}
	static final String[] SHAPES = { "plain", "nulls", "headers", "large", "many", "unordered", "notime", "gaps", "noise" };

	/* A batch around a body that somebody else compressed. */
	static ByteBuffer wrap(CompressionType t, byte[] body, int count) {
		ByteBuffer b = ByteBuffer.allocate(61 + body.length);
		b.position(61);
		b.put(body);
		b.position(0);
		DefaultRecordBatch.writeHeader(b, 40, count - 1, 61 + body.length, (byte) 2, t, TimestampType.CREATE_TIME, T, T + 100000, -1, (short) -1, -1,
		    false, false, false, 6, count);
		b.position(0);
		return b;
	}

	static byte[] body(List<Rec> recs) {
		ByteBuffer b = plain(Compression.NONE, TimestampType.CREATE_TIME, recs);
		byte[] bytes = new byte[b.remaining() - 61];
		b.position(61);
		b.get(bytes);
		return bytes;
	}

	static byte[] pack(Compression c, byte[] b) throws Exception {
		ByteBufferOutputStream o = new ByteBufferOutputStream(1 << 16);
		try (OutputStream s = c.wrapForOutput(o, (byte) 2)) { s.write(b); }
		o.buffer().flip();
		byte[] r = new byte[o.buffer().remaining()];
		o.buffer().get(r);
		return r;
	}

	static byte[] join(byte[]... parts) {
		ByteArrayOutputStream o = new ByteArrayOutputStream();
		for (byte[] p : parts)
			o.writeBytes(p);
		return o.toByteArray();
	}

	static void foreignStreams() throws Exception {
		List<Rec> recs = new ArrayList<>();
		for (int i = 0; i < 600; i++)
			recs.add(rec(40 + i, T + i, "key" + i, repeat("foreign stream " + i + " ", 100)));
		byte[] all = body(recs), head = Arrays.copyOf(all, 1001), tail = Arrays.copyOfRange(all, 1001, all.length);
		emit("snappy-raw", wrap(CompressionType.SNAPPY, org.xerial.snappy.Snappy.compress(all), 600));
		emit("snappy-raw-tiny", wrap(CompressionType.SNAPPY, org.xerial.snappy.Snappy.compress(body(List.of(rec(40, T, null, null)))), 1));
		emit("snappy-joined", wrap(CompressionType.SNAPPY, join(pack(Compression.snappy().build(), head), pack(Compression.snappy().build(), tail)), 600));
		emit("snappy-trailing", wrap(CompressionType.SNAPPY, join(pack(Compression.snappy().build(), all), new byte[3]), 600));
		emit("gzip-members", wrap(CompressionType.GZIP, join(pack(Compression.gzip().build(), head), pack(Compression.gzip().build(), tail)), 600));
		emit("gzip-trailing", wrap(CompressionType.GZIP, join(pack(Compression.gzip().build(), all), utf8("no member at all, just words")), 600));
		emit("zstd-frames", wrap(CompressionType.ZSTD, join(pack(Compression.zstd().build(), head), pack(Compression.zstd().build(), tail)), 600));
		for (int size = 4; size <= 7; size++) {
			ByteArrayOutputStream o = new ByteArrayOutputStream();
			try (OutputStream s = new Lz4BlockOutputStream(o, size, 9, size % 2 == 1, false)) { s.write(all); }
			emit("lz4-blocks-" + size, wrap(CompressionType.LZ4, o.toByteArray(), 600));
		}
		emit("lz4-trailing", wrap(CompressionType.LZ4, join(pack(Compression.lz4().build(), all), utf8("ignored")), 600));
	}

	public static void main(String[] args) throws Exception {
		out = new FileOutputStream(args[0]);
		Object[][] codecs = { { "none", Compression.NONE }, { "gzip", Compression.gzip().build() }, { "gzip9", Compression.gzip().level(9).build() },
		    { "snappy", Compression.snappy().build() }, { "lz4", Compression.lz4().build() }, { "lz4hc", Compression.lz4().level(12).build() },
		    { "zstd", Compression.zstd().build() }, { "zstd19", Compression.zstd().level(19).build() } };
		List<List<Rec>> shapes = shapes();
		for (Object[] c : codecs)
			for (TimestampType tt : List.of(TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME))
				for (int i = 0; i < SHAPES.length; i++)
					if (!SHAPES[i].equals("noise") || tt == TimestampType.CREATE_TIME)
						emit("v2-" + c[0] + "-" + tt.name + "-" + SHAPES[i], plain((Compression) c[1], tt, shapes.get(i)));
		foreignStreams();
		List<Rec> three = shapes.get(0);
		TimestampType ct = TimestampType.CREATE_TIME;
		emit("idempotent", build((byte) 2, Compression.NONE, ct, 0, 4711, (short) 3, 17, false, -1, three));
		emit("idempotent-wrap", build((byte) 2, Compression.lz4().build(), ct, 0, 1L << 50, (short) 32767, Integer.MAX_VALUE - 1, false, -1, three));
		emit("transactional", build((byte) 2, Compression.NONE, ct, 0, 4711, (short) 0, 0, true, -1, three));
		emit("transactional-zstd", build((byte) 2, Compression.zstd().build(), ct, 0, 4711, (short) 0, 0, true, -1, three));
		emit("horizon", build((byte) 2, Compression.NONE, ct, 0, -1, (short) -1, -1, false, T + 86400000L, List.of(rec(0, T, "k", null), rec(4, T + 1, "l", "v"))));
		emit("commit", MemoryRecords.withEndTransactionMarker(77, T + 9, 8, 4711, (short) 2, new EndTransactionMarker(ControlRecordType.COMMIT, 12)).buffer());
		emit("abort", MemoryRecords.withEndTransactionMarker(78, T + 10, 8, 4712, (short) 0, new EndTransactionMarker(ControlRecordType.ABORT, 0)).buffer());
		ByteBuffer empty = ByteBuffer.allocate(61);
		DefaultRecordBatch.writeEmptyHeader(empty, (byte) 2, 4711, (short) 2, 99, 500, 512, 9, ct, T, false, false);
		empty.position(0);
		emit("empty", empty);
		for (byte magic = 0; magic < 2; magic++)
			for (Object[] c : codecs)
				for (TimestampType tt : List.of(ct, TimestampType.LOG_APPEND_TIME)) {
					if (((String) c[0]).startsWith("zstd") || (magic == 0 && tt != ct))
						continue;
					for (int i : new int[] { 0, 1, 4 })
						emit("v" + magic + "-" + c[0] + "-" + tt.name + "-" + SHAPES[i],
						    build(magic, (Compression) c[1], tt, shapes.get(i).get(0).offset, -1, (short) -1, -1, false, -1,
						    i == 4 ? shapes.get(i).subList(0, 20) : shapes.get(i)));
				}
		out.close();
	}
}
