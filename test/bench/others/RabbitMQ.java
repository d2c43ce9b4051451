// SPDX-License-Identifier: Apache-2.0
//
// A stream of RabbitMQ by its stream client: publish frames of up to 900 records (a frame may have 1 MiB), whose records are confirmed one by one.
import com.rabbitmq.stream.*;
import com.rabbitmq.stream.codec.SimpleCodec;
import java.time.Duration;

public class RabbitMQ extends Load {
	private static final int BATCH = 900, WINDOW = 10 * BATCH, CREDITS = 10;
	private Environment environment;

	@Override void open() {
		environment = Environment.builder().host("127.0.0.1").port(ports[0]).addressResolver(a -> new Address("127.0.0.1", ports[0])).codec(new SimpleCodec()).build();
	}

	@Override void create(String topic) { environment.streamCreator().stream(topic).create(); }

	@Override void publish(String topic, int n) throws Exception {
		Window window = new Window(WINDOW);

		try (Producer p = environment.producerBuilder().stream(topic).batchSize(n == 1 ? 1 : BATCH).batchPublishingDelay(Duration.ofMillis(n == 1 ? 0 : 100))
		    .maxUnconfirmedMessages(WINDOW).build()) {
			for (int i = 0; i < n; i++) {
				window.enter();
				p.send(p.messageBuilder().addData(record(i)).build(),
				    s -> window.leave(s.isConfirmed() ? null : new Exception("status " + s.getCode())));
			}
			window.drain();
		}
	}

	@Override void consume(String topic, int n, Tally tally) throws Exception {
		try (Consumer c = environment.consumerBuilder().stream(topic).offset(OffsetSpecification.first()).flow().initialCredits(CREDITS).builder()
		    .messageHandler((context, m) -> tally.take(m.getBodyAsBinary())).build()) {
			tally.await();
		}
	}

	@Override void delete(String topic) { environment.deleteStream(topic); }

	@Override void close() {
		if (environment != null)
			environment.close();
		environment = null;
	}
}
