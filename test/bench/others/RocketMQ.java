// SPDX-License-Identifier: Apache-2.0
//
// A topic of RocketMQ with one queue, by its own (remoting) client: batches of up to 900 records, five under way, each acknowledged as a whole; a consumer
// that pulls.  PORT is the broker's, then the name server's.
import java.util.*;
import org.apache.rocketmq.client.consumer.*;
import org.apache.rocketmq.client.producer.*;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.*;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

public class RocketMQ extends Load {
	private static final int BATCH = 900, UNDER_WAY = 5, ASKED_FOR = 1000;
	private static int serial;
	private DefaultMQAdminExt admin;
	private DefaultMQProducer producer;
	private DefaultMQPullConsumer consumer;

	private String names() { return "127.0.0.1:" + ports[1]; }
	private static MessageQueue queue(String topic) { return new MessageQueue(topic, "bench", 0); }

	@Override void open() throws Exception {
		serial++;
		admin = new DefaultMQAdminExt("admin" + serial);
		admin.setNamesrvAddr(names());
		admin.setInstanceName("admin" + serial);
		admin.start();
		producer = new DefaultMQProducer("producer" + serial);
		producer.setNamesrvAddr(names());
		producer.setInstanceName("producer" + serial);
		producer.setVipChannelEnabled(false);
		producer.setCompressMsgBodyOverHowmuch(1 << 24);
		producer.setSendMsgTimeout(60000);
		producer.start();
		consumer = new DefaultMQPullConsumer("consumer" + serial);
		consumer.setNamesrvAddr(names());
		consumer.setInstanceName("consumer" + serial);
		consumer.start();
	}

	@Override void create(String topic) throws Exception { admin.createAndUpdateTopicConfig("127.0.0.1:" + ports[0], new TopicConfig(topic, 1, 1)); }

	@Override void publish(String topic, int n) throws Exception {
		Window window = new Window(UNDER_WAY);
		SendCallback acknowledged = new SendCallback() {
			@Override public void onSuccess(SendResult r) { window.leave(r.getSendStatus() == SendStatus.SEND_OK ? null : new Exception(r.toString())); }
			@Override public void onException(Throwable e) { window.leave(e); }
		};

		for (int i = 0; i < n;) {
			List<Message> batch = new ArrayList<>(BATCH);

			while (i < n && batch.size() < BATCH)
				batch.add(new Message(topic, record(i++)));
			window.enter();
			producer.send(batch, queue(topic), acknowledged);
		}
		window.drain();
	}

	@Override void consume(String topic, int n, Tally tally) throws Exception {
		for (long offset = 0; !tally.complete();) {
			PullResult r = consumer.pull(queue(topic), "*", offset, ASKED_FOR, 60000);

			// dispatched to the queue a moment after it was acknowledged
			if (r.getPullStatus() != PullStatus.FOUND && r.getPullStatus() != PullStatus.NO_NEW_MSG)
				throw new Exception("pull at " + offset + ": " + r.getPullStatus());
			if (r.getPullStatus() == PullStatus.FOUND)
				r.getMsgFoundList().forEach(m -> tally.take(m.getBody()));
			offset = r.getNextBeginOffset();
		}
	}

	@Override void delete(String topic) throws Exception { admin.deleteTopicInBroker(Set.of("127.0.0.1:" + ports[0]), topic); }

	@Override void close() {
		if (consumer != null)
			consumer.shutdown();
		if (producer != null)
			producer.shutdown();
		if (admin != null)
			admin.shutdown();
		consumer = null;
		producer = null;
		admin = null;
	}
}
