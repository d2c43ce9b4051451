// SPDX-License-Identifier: Apache-2.0
//
// The client of `make bench ROWS=others`: java -cp JARS:CLASSES Load CLASS PORT..., where CLASS is what speaks to one system, by that system's own client.
// One command a line on standard input, one answer a line on standard output: "ok NANOSECONDS" (System.nanoTime) or "failed WHY".  A failure ends it.
//
//	first TOPIC		tries until a topic is made and a record in it acknowledged; the broker may start meanwhile
//	create TOPIC, delete TOPIC, close
//	publish TOPIC N		N records, as many under way as the system likes; answered when all are acknowledged
//	consume TOPIC N		the N records from the first on; each has to come once and be what was sent
import java.io.*;
import java.net.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;

public abstract class Load {
	static final int RECORD = 1024, KINDS = 4000, SECONDS = 600;
	private static final byte[][] RECORDS = new byte[KINDS][RECORD];
	protected int[] ports;

	static {
		Random noise = new Random(7);

		for (byte[] r : RECORDS)
			noise.nextBytes(r);
	}

	/** Connects; whatever a try that failed has left is closed by close(). */
	abstract void open() throws Exception;
	abstract void create(String topic) throws Exception;
	abstract void publish(String topic, int n) throws Exception;
	abstract void consume(String topic, int n, Tally tally) throws Exception;
	abstract void delete(String topic) throws Exception;
	abstract void close() throws Exception;

	/** The i-th record: one of a fixed set that does not compress. */
	static byte[] record(int i) { return RECORDS[i % KINDS]; }

	/** Records that are not acknowledged yet. */
	static class Window {
		private final int size;
		private final Semaphore free;
		private final AtomicReference<Throwable> failure = new AtomicReference<>();

		Window(int size) { this.size = size; free = new Semaphore(size); }

		void enter() throws Exception {
			if (!free.tryAcquire(SECONDS, TimeUnit.SECONDS))
				throw new TimeoutException("no acknowledgement");
			check();
		}

		void leave(Throwable why) {
			if (why != null)
				failure.compareAndSet(null, why);
			free.release();
		}

		void drain() throws Exception {
			if (!free.tryAcquire(size, SECONDS, TimeUnit.SECONDS))
				throw new TimeoutException("not everything was acknowledged");
			check();
		}

		private void check() throws Exception {
			if (failure.get() != null)
				throw new Exception("not acknowledged: " + failure.get());
		}
	}

	/** What has come.  The order is not looked at: not every system keeps it among requests under way. */
	static class Tally {
		private final int expected;
		private final CountDownLatch all;
		private long sum, n;
		private String wrong;

		Tally(int expected) { this.expected = expected; all = new CountDownLatch(expected); }

		/** The first and the last of its bytes, and its length. */
		private static long digest(byte[] r) {
			long d = r.length;

			for (int i = 0; i < 8; i++)
				d = d * 257 + (r[i] & 0xff) + 256L * (r[r.length - 1 - i] & 0xff);
			return d;
		}

		/** By one thread at a time. */
		synchronized void take(byte[] r) {
			if (r.length != RECORD)
				wrong = "a record of " + r.length + " bytes";
			else
				sum += digest(r);
			n++;
			all.countDown();
		}

		synchronized boolean complete() { return n >= expected; }

		void await() throws Exception {
			if (!all.await(SECONDS, TimeUnit.SECONDS))
				throw new TimeoutException(all.getCount() + " records did not come");
		}

		synchronized void check() throws Exception {
			long right = 0;

			for (int i = 0; i < expected; i++)
				right += digest(record(i));
			if (wrong != null || n != expected || sum != right)
				throw new Exception(wrong != null ? wrong : n + " records of " + expected + (sum != right ? ", others than were sent" : ""));
		}
	}

	private void first(String topic) throws Exception {
		long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(120);

		for (;;) {
			try (Socket s = new Socket()) {
				s.connect(new InetSocketAddress("127.0.0.1", ports[0]));
			} catch (IOException e) {
				again(end, e);
				continue;
			}
			try {
				open();
				create(topic);
				publish(topic, 1);
				return;
			} catch (Exception e) {
				close();
				again(end, e);
			}
		}
	}

	private static void again(long end, Exception e) throws Exception {
		if (System.nanoTime() > end)
			throw e;
		Thread.sleep(2);
	}

	private void run(String[] words) throws Exception {
		switch (words[0]) {
		case "first" -> first(words[1]);
		case "create" -> create(words[1]);
		case "publish" -> publish(words[1], Integer.parseInt(words[2]));
		case "consume" -> {
			Tally tally = new Tally(Integer.parseInt(words[2]));

			consume(words[1], Integer.parseInt(words[2]), tally);
			tally.check();
		}
		case "delete" -> delete(words[1]);
		case "close" -> close();
		default -> throw new IllegalArgumentException(words[0]);
		}
	}

	public static void main(String[] args) throws Exception {
		PrintStream answers = System.out;
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
		Load load = (Load)Class.forName(args[0]).getDeclaredConstructor().newInstance();
		String line;

		System.setOut(System.err);	// whatever a library has to say
		load.ports = Arrays.stream(args).skip(1).mapToInt(Integer::parseInt).toArray();
		while ((line = in.readLine()) != null) {
			try {
				load.run(line.split(" "));
				answers.println("ok " + System.nanoTime());
			} catch (Throwable e) {
				e.printStackTrace();
				answers.println("failed " + e.toString().replace('\n', ' '));
				System.exit(1);
			}
		}
		System.exit(0);
	}
}
