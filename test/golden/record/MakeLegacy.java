/* SPDX-License-Identifier: Apache-2.0
 *
 * MakeLegacy FILE COUNT: what MakeVerdicts does, for the message sets of Produce 0 to 2: messages of magic 0 and 1, several or one, plain or compressed,
 * whole or damaged, now and then a batch of magic 2 among them.  The lines are MakeVerdicts' and read by the same test.  Run by make-golden.
 *
 * The first sets are named and whole (named()), one for each sentence of the format; the others are seeded.
 */
import java.io.ByteArrayOutputStream;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.utils.ByteBufferOutputStream;

public class MakeLegacy {
	static final Random rnd = new Random(Long.getLong("seed", 19991231));
	static final long NOW = MakeVerdicts.NOW;

	static byte[] pack(CompressionType t, byte[] b, int magic) throws Exception {
		ByteBufferOutputStream o = new ByteBufferOutputStream(1 << 12);
		try (OutputStream s = Compression.of(t).build().wrapForOutput(o, (byte) magic)) { s.write(b); }
		o.buffer().flip();
		byte[] r = new byte[o.buffer().remaining()];
		o.buffer().get(r);
		return r;
	}

	static byte[] join(byte[]... parts) throws Exception {
		ByteArrayOutputStream o = new ByteArrayOutputStream();
		for (byte[] p : parts)
			o.write(p);
		return o.toByteArray();
	}

	static void repair(byte[] m) {
		CRC32 crc = new CRC32();
		if (m.length > 16) {
			crc.update(m, 16, m.length - 16);
			ByteBuffer.wrap(m).putInt(12, (int) crc.getValue());
		}
	}

	/* One message; attributes and lengths may be any. */
	static byte[] message(long offset, int magic, int attributes, long ts, byte[] key, byte[] value) {
		int k = key == null ? 0 : key.length, v = value == null ? 0 : value.length;
		ByteBuffer b = ByteBuffer.allocate((magic == 0 ? 26 : 34) + k + v);
		b.putLong(offset).putInt(b.limit() - 12).putInt(0).put((byte) magic).put((byte) attributes);
		if (magic != 0)
			b.putLong(ts);
		b.putInt(key == null ? -1 : k);
		if (key != null)
			b.put(key);
		b.putInt(value == null ? -1 : v);
		if (value != null)
			b.put(value);
		repair(b.array());
		return b.array();
	}

	static byte[] wrapper(long offset, int magic, CompressionType t, long ts, byte[] inner) throws Exception {
		return message(offset, magic, t.id, ts, null, pack(t, inner, magic));
	}

	static byte[] words(String s) { return MakeVerdicts.utf8(s); }

	static byte[] some(int i) { return words("v".repeat(i % 20)); }

	/* n messages with offsets 0.. or from first on, in one piece. */
	static byte[] sequence(int n, int magic, long first) throws Exception {
		byte[] all = new byte[0];
		for (int i = 0; i < n; i++)
			all = join(all, message(first + i, magic, 0, NOW + i - 2, i % 3 == 1 ? null : words("k" + i), i % 4 == 2 ? null : some(i)));
		return all;
	}

	static List<byte[]> named() throws Exception {
		List<byte[]> l = new ArrayList<>();
		CompressionType[] old = { CompressionType.GZIP, CompressionType.SNAPPY, CompressionType.LZ4 };
		l.add(new byte[0]);								/* nothing */
		l.add(Arrays.copyOf(sequence(1, 1, 0), 30));					/* nothing whole */
		for (int magic = 0; magic < 2; magic++) {
			byte[] one = sequence(1, magic, 0), three = sequence(3, magic, 0), bad = one.clone();
			l.add(one);
			l.add(three);
			l.add(sequence(3, magic, 500));						/* offsets of the client's own */
			l.add(message(0, magic, 0, NOW, null, null));
			l.add(message(0, magic, 0, NOW, new byte[0], new byte[0]));
			l.add(message(0, magic, 8, NOW, words("k"), words("v")));		/* LogAppendTime */
			l.add(message(0, magic, 0, -1, words("k"), words("v")));
			l.add(message(0, magic, 0, -2, words("k"), words("v")));
			l.add(message(0, magic, 0, Long.MAX_VALUE, words("k"), words("v")));
			l.add(message(0, magic, 0xf0, NOW, words("k"), words("v")));		/* bits without meaning */
			l.add(join(one, sequence(1, 1 - magic, 0)));				/* two magics */
			l.add(Arrays.copyOf(three, three.length - 5));				/* the last is cut off */
			bad[bad.length - 1] ^= 1;
			l.add(bad);								/* checksum */
			l.add(join(one, bad));
			for (CompressionType t : old) {
				byte[] w = wrapper(2, magic, t, NOW, three);
				l.add(w);
				l.add(wrapper(0, magic, t, NOW, three));			/* librdkafka's offset */
				l.add(wrapper(1, magic, t, NOW, three));			/* below the last inner one */
				l.add(wrapper(1002, magic, t, NOW, three));
				l.add(wrapper(2, magic, t, NOW, join(sequence(2, magic, 0), bad)));
				l.add(wrapper(2, magic, t, NOW, join(one, sequence(1, 1 - magic, 1))));
				l.add(wrapper(0, magic, t, NOW, wrapper(0, magic, t, NOW, one)));	/* nested */
				l.add(wrapper(0, magic, t, NOW, message(0, magic, t.id, NOW, null, null)));
				l.add(wrapper(2, magic, t, NOW, Arrays.copyOf(three, three.length - 3)));
				l.add(wrapper(0, magic, t, NOW, new byte[0]));
				l.add(wrapper(0, magic, t, NOW, new byte[20]));
				l.add(message(2, magic, 8 | t.id, NOW, null, pack(t, three, magic)));	/* LogAppendTime */
				l.add(message(2, magic, t.id, NOW, words("key"), pack(t, three, magic)));
				l.add(message(2, magic, t.id, NOW, null, null));
				l.add(message(2, magic, t.id, NOW, null, words("no stream")));
				l.add(join(w, w));
				l.add(join(one, w));
				l.add(join(w, one));
				l.add(Arrays.copyOf(join(w, w), w.length + 40));
				l.add(wrapper(199, magic, t, NOW, sequence(200, magic, 0)));
			}
			l.add(message(0, magic, 3, NOW, null, pack(CompressionType.LZ4, three, 1 - magic)));	/* lz4's header checksum of the other magic */
			l.add(wrapper(2, magic, CompressionType.ZSTD, NOW, three));
			l.add(message(0, magic, 5, NOW, null, words("v")));			/* a codec that nobody has */
		}
		return l;
	}

	static byte[] modern() throws Exception {
		MemoryRecordsBuilder b = new MemoryRecordsBuilder(new ByteBufferOutputStream(1 << 10), (byte) 2, Compression.of(MakeVerdicts.pick(CompressionType.values())).build(),
		    TimestampType.CREATE_TIME, 0, -1, -1, (short) -1, -1, false, false, -1, 1 << 20);
		for (int i = rnd.nextInt(3); i >= 0; i--)
			b.append(NOW, words("k"), words("v"));
		ByteBuffer buf = b.build().buffer();
		byte[] r = new byte[buf.remaining()];
		buf.get(r);
		return r;
	}

	static byte[] random(int magic, long offset, boolean whole) {
		String k = rnd.nextInt(5) == 0 ? null : "k".repeat(rnd.nextInt(5)), v = rnd.nextInt(5) == 0 ? null : "v".repeat(rnd.nextInt(20));
		long ts = rnd.nextInt(8) == 0 ? -1 : NOW + rnd.nextInt(1700) - 1050;
		int attributes = rnd.nextInt(12) == 0 ? 8 : rnd.nextInt(40) == 0 ? rnd.nextInt(256) : 0;
		byte[] m = message(offset, rnd.nextInt(40) == 0 ? rnd.nextInt(4) : magic, attributes, ts, words(k), words(v));
		if (!whole && rnd.nextInt(3) == 0) {	/* a field of it is any, the checksum right */
			m[12 + rnd.nextInt(m.length - 12)] = (byte) rnd.nextInt(256);
			if (rnd.nextInt(4) != 0)
				repair(m);
		}
		return m;
	}

	static byte[] makeCase() throws Exception {
		int n = 1 + rnd.nextInt(4), how = rnd.nextInt(12), magic = rnd.nextInt(2);
		byte[] all = new byte[0];
		long first = rnd.nextInt(5) == 0 ? rnd.nextInt(100) : 0;
		for (int i = 0; i < n; i++)
			all = join(all, random(magic, first + (rnd.nextInt(15) == 0 ? rnd.nextInt(9) : i), how > 2));
		if (how == 3)
			all = MakeVerdicts.damage(all, 1);
		if (rnd.nextInt(5) < 3) {
			CompressionType t = MakeVerdicts.pick(rnd.nextInt(20) == 0 ? CompressionType.values() :
			    new CompressionType[] { CompressionType.GZIP, CompressionType.SNAPPY, CompressionType.LZ4 });
			byte[] packed = pack(t, all, rnd.nextInt(30) == 0 ? 1 - magic : magic);
			if (how == 4)
				packed = MakeVerdicts.damage(packed, 1);
			all = message(rnd.nextInt(3) == 0 ? 0 : first + n - 1 + rnd.nextInt(3) - 1, magic, t.id | (rnd.nextInt(12) == 0 ? 8 : 0), NOW + rnd.nextInt(5),
			    rnd.nextInt(20) == 0 ? words("k") : null, rnd.nextInt(30) == 0 ? null : packed);
		}
		switch (how) {
		case 5: all = MakeVerdicts.damage(all, 1); break;
		case 6: all = MakeVerdicts.damage(all, 1); repair(all); break;
		case 7: all = join(all, all); break;
		case 8: all = Arrays.copyOf(all, rnd.nextInt(all.length)); break;
		case 9:
			if (rnd.nextInt(2) == 0)
				all = rnd.nextInt(3) == 0 ? join(all, modern()) : rnd.nextInt(2) == 0 ? modern() : join(modern(), all);
			break;
		}
		return all;
	}

	public static void main(String[] args) throws Exception {
		try (OutputStream out = new FileOutputStream(args[0])) {
			StringBuilder text = new StringBuilder();
			List<byte[]> sets = named();
			int n = sets.size(), all = n * MakeVerdicts.RULES.length;
			long position = 0;
			for (int i = 0; i < all + Integer.parseInt(args[1]); i++) {
				byte[] b = i < all ? sets.get(i % n) : makeCase();
				int rules = i < all ? i / n : rnd.nextInt(3) == 0 ? 0 : rnd.nextInt(MakeVerdicts.RULES.length);
				short version = (short) rnd.nextInt(3);
				text.append(String.format("%d %d %d %d %s\n", position, b.length, rules, version, MakeVerdicts.verdict(b, MakeVerdicts.RULES[rules], version)));
				out.write(b);
				position += b.length;
			}
			System.out.print(text);
		}
	}
}
