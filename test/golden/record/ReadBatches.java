/* SPDX-License-Identifier: Apache-2.0
 *
 * ReadBatches FILE: what the Java client finds in a file of record batches, as text.  test/unit/record/facts.c prints the same of what we find.
 */
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.zip.CRC32;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.CloseableIterator;

public class ReadBatches {
	static byte[] bytes(ByteBuffer b) {
		if (b == null)
			return null;
		byte[] r = new byte[b.remaining()];
		b.duplicate().get(r);
		return r;
	}

	static void field(DataOutputStream d, byte[] b) throws Exception {
		d.writeInt(b == null ? -1 : b.length);
		if (b != null)
			d.write(b);
	}

	public static void digest(CRC32 crc, Record r) throws Exception {
		ByteArrayOutputStream o = new ByteArrayOutputStream();
		DataOutputStream d = new DataOutputStream(o);
		d.writeLong(r.offset());
		d.writeLong(r.timestamp());
		field(d, bytes(r.key()));
		field(d, bytes(r.value()));
		d.writeInt(r.headers().length);
		for (Header h : r.headers()) {
			field(d, h.key().getBytes("UTF-8"));
			field(d, h.value());
		}
		crc.update(o.toByteArray());
	}

	static String type(RecordBatch b) {
		return b.timestampType() == TimestampType.NO_TIMESTAMP_TYPE ? "-" : b.timestampType().name;
	}

	public static void main(String[] args) throws Exception {
		ByteBuffer all = ByteBuffer.wrap(Files.readAllBytes(Paths.get(args[0])));
		long position = 0;
		StringBuilder text = new StringBuilder();
		for (RecordBatch b : MemoryRecords.readableRecords(all).batches()) {
			CRC32 crc = new CRC32();
			int n = 0;
			StringBuilder first = new StringBuilder();
			try (CloseableIterator<Record> it = b.streamingIterator(BufferSupplier.NO_CACHING)) {
				while (it.hasNext()) {
					Record r = it.next();
					digest(crc, r);
					if (n++ < 2)
						first.append(String.format("  record offset=%d ts=%d key=%d value=%d headers=%d\n", r.offset(), r.timestamp(),
						    r.hasKey() ? r.keySize() : -1, r.hasValue() ? r.valueSize() : -1, r.headers().length));
					if (b.isControlBatch())
						first.append(String.format("  control %s epoch=%d\n", ControlRecordType.parse(r.key()),
						    EndTransactionMarker.deserialize(r).coordinatorEpoch()));
				}
			}
			boolean v2 = b.magic() == 2;
			text.append(String.format("batch position=%d size=%d magic=%d base=%d last=%d epoch=%d crc=%08x valid=%b codec=%s type=%s basets=%d maxts=%d",
			    position, b.sizeInBytes(), b.magic(), b.baseOffset(), b.lastOffset(), b.partitionLeaderEpoch(), b.checksum(), b.isValid(),
			    b.compressionType().name, type(b), v2 ? ((DefaultRecordBatch) b).baseTimestamp() : -1, b.maxTimestamp()));
			text.append(String.format(" pid=%d pepoch=%d seq=%d lastseq=%d txn=%b control=%b horizon=%d count=%d records=%d digest=%08x\n",
			    b.producerId(), b.producerEpoch(), b.baseSequence(), b.lastSequence(), b.isTransactional(), b.isControlBatch(),
			    b.deleteHorizonMs().orElse(-1), v2 ? b.countOrNull() : -1, n, crc.getValue()));
			text.append(first);
			position += b.sizeInBytes();
		}
		System.out.print(text);
	}
}
