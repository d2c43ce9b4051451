// SPDX-License-Identifier: Apache-2.0
//
// A durable queue of ActiveMQ Artemis by its core client: every record is a message with an acknowledgement of its own; a browser reads the queue and
// leaves it as it is.
import java.util.EnumSet;
import org.apache.activemq.artemis.api.core.*;
import org.apache.activemq.artemis.api.core.client.*;

public class Artemis extends Load {
	private static final int WINDOW = 10000;
	private ServerLocator locator;
	private ClientSessionFactory factory;
	private ClientSession session;

	@Override void open() throws Exception {
		locator = ActiveMQClient.createServerLocator("tcp://127.0.0.1:" + ports[0]);
		locator.setBlockOnDurableSend(false).setConfirmationWindowSize(1 << 23).setProducerWindowSize(1 << 23).setConsumerWindowSize(1 << 23);
		locator.setCallTimeout(SECONDS * 1000L).setPreAcknowledge(false);
		factory = locator.createSessionFactory();
		session = factory.createSession(true, true, 0);
		session.start();
	}

	@Override void create(String topic) throws Exception {
		session.createAddress(SimpleString.of(topic), EnumSet.of(RoutingType.ANYCAST), false);
		session.createQueue(QueueConfiguration.of(topic).setAddress(topic).setRoutingType(RoutingType.ANYCAST).setDurable(true));
	}

	@Override void publish(String topic, int n) throws Exception {
		Window window = new Window(WINDOW);
		SendAcknowledgementHandler acknowledged = new SendAcknowledgementHandler() {
			@Override public void sendAcknowledged(Message m) { window.leave(null); }
			@Override public void sendFailed(Message m, Exception e) { window.leave(e); }
		};

		try (ClientProducer p = session.createProducer(topic)) {
			for (int i = 0; i < n; i++) {
				ClientMessage m = session.createMessage(true);

				m.getBodyBuffer().writeBytes(record(i));
				window.enter();
				p.send(m, acknowledged);
			}
			window.drain();
		}
	}

	@Override void consume(String topic, int n, Tally tally) throws Exception {
		try (ClientConsumer c = session.createConsumer(topic, true)) {
			while (!tally.complete()) {
				ClientMessage m = c.receive(60000);

				if (m == null)
					break;
				byte[] r = new byte[m.getBodyBuffer().readableBytes()];

				m.getBodyBuffer().readBytes(r);
				tally.take(r);
			}
		}
	}

	@Override void delete(String topic) throws Exception { session.deleteQueue(topic); }

	@Override void close() throws Exception {
		if (session != null)
			session.close();
		if (factory != null)
			factory.close();
		if (locator != null)
			locator.close();
		session = null;
		factory = null;
		locator = null;
	}
}
