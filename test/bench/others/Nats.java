// SPDX-License-Identifier: Apache-2.0
//
// A stream of NATS JetStream by its Java client: every record is a message with an acknowledgement of its own; an ordered push consumer reads it.
import io.nats.client.*;
import io.nats.client.api.*;
import java.time.Duration;

public class Nats extends Load {
	private static final int WINDOW = 4000;
	private Connection connection;

	@Override void open() throws Exception {
		connection = io.nats.client.Nats.connect(new Options.Builder().server("nats://127.0.0.1:" + ports[0]).noReconnect()
		    .maxMessagesInOutgoingQueue(2 * WINDOW).build());
	}

	@Override void create(String topic) throws Exception {
		connection.jetStreamManagement().addStream(StreamConfiguration.builder().name(topic).subjects(topic).storageType(StorageType.File).build());
	}

	@Override void publish(String topic, int n) throws Exception {
		Window window = new Window(WINDOW);
		JetStream js = connection.jetStream(JetStreamOptions.builder().requestTimeout(Duration.ofSeconds(60)).build());

		for (int i = 0; i < n; i++) {
			window.enter();
			js.publishAsync(topic, record(i)).whenComplete((ack, e) -> window.leave(e));
		}
		window.drain();
	}

	@Override void consume(String topic, int n, Tally tally) throws Exception {
		PushSubscribeOptions ordered = PushSubscribeOptions.builder().ordered(true).pendingMessageLimit(-1).pendingByteLimit(-1)
		    .configuration(ConsumerConfiguration.builder().deliverPolicy(DeliverPolicy.All).build()).build();
		JetStreamSubscription s = connection.jetStream().subscribe(topic, ordered);

		while (!tally.complete()) {
			Message m = s.nextMessage(Duration.ofSeconds(60));

			if (m == null)
				break;
			tally.take(m.getData());
		}
		s.unsubscribe();
	}

	@Override void delete(String topic) throws Exception { connection.jetStreamManagement().deleteStream(topic); }

	@Override void close() throws Exception {
		if (connection != null)
			connection.close();
		connection = null;
	}
}
