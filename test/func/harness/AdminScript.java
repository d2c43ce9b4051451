// SPDX-License-Identifier: Apache-2.0
//
// One administrator's day, through Kafka's own AdminClient, on one broker after the other: java -cp JARS AdminScript.java LEFT-OUT host:port DIR ...
// LEFT-OUT: beginnings of steps, separated by commas.
// Each step prints one line "N|step|outcome": what came back, sorted, or the exception's class.  Brokers in the same state print the same lines.
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;

public class AdminScript {
	interface Step { Object run() throws Exception; }

	private final Admin admin;
	private final String directory;
	private final List<String> leftOut;
	private int number;

	AdminScript(List<String> leftOut, String address, String directory) {
		Properties p = new Properties();
		p.put("bootstrap.servers", address);
		p.put("request.timeout.ms", "15000");
		p.put("default.api.timeout.ms", "20000");
		admin = Admin.create(p);
		this.directory = directory;
		this.leftOut = leftOut;
	}

	private void step(String words, Step s) {
		String outcome;

		if (leftOut.stream().anyMatch(words::startsWith))
			return;
		try {
			outcome = String.valueOf(s.run());
		} catch (ExecutionException e) {
			outcome = e.getCause().getClass().getSimpleName();
		} catch (Exception e) {
			outcome = e.getClass().getSimpleName();
		}
		System.out.println(number++ + "|" + words + "|" + outcome.replace("\n", " ").replace(directory, "DIR"));
	}

	private static <T> T get(KafkaFuture<T> f) throws Exception { return f.get(20, TimeUnit.SECONDS); }
	private static ConfigResource topic(String name) { return new ConfigResource(ConfigResource.Type.TOPIC, name); }
	private static ConfigResource broker(String name) { return new ConfigResource(ConfigResource.Type.BROKER, name); }

	private String config(ConfigResource r) throws Exception {
		Map<String, String> rows = new TreeMap<>();

		for (ConfigEntry e : get(admin.describeConfigs(List.of(r), new DescribeConfigsOptions().includeSynonyms(true)).all()).get(r).entries())
			if (!e.name().startsWith("ottla.") && !e.isDefault() && e.source() != ConfigEntry.ConfigSource.STATIC_BROKER_CONFIG)
				rows.put(e.name(), e.value() + " " + e.source() + " " + e.synonyms().size() + (e.isSensitive() ? " sensitive" : ""));
		return rows.toString();
	}

	/** Settings come into force a moment after the change was answered. */
	private String configWhen(ConfigResource r, String... rows) throws Exception {
		for (int i = 0; i < 100; i++) {
			String now = config(r);

			if (Arrays.stream(rows).allMatch(now::contains))
				return now;
			Thread.sleep(50);
		}
		return config(r);
	}

	private Object change(ConfigResource r, AlterConfigOp.OpType type, String... pairs) throws Exception {
		List<AlterConfigOp> ops = new ArrayList<>();

		for (int i = 0; i < pairs.length; i += 2)
			ops.add(new AlterConfigOp(new ConfigEntry(pairs[i], pairs[i + 1]), type));
		return get(admin.incrementalAlterConfigs(Map.of(r, ops)).all());
	}

	private String describe(String name) throws Exception {
		TopicDescription d = get(admin.describeTopics(List.of(name)).allTopicNames()).get(name);
		StringBuilder out = new StringBuilder();

		for (var p : d.partitions())
			out.append(p.partition()).append(':').append(p.leader().id()).append(p.replicas().size()).append(p.isr().size()).append(' ');
		return out.toString() + d.isInternal();
	}

	private Object describeWhenThere(String name, int partitions) throws Exception {
		for (int i = 0; i < 100; i++) {
			try {
				if (get(admin.describeTopics(List.of(name)).allTopicNames()).get(name).partitions().size() == partitions)
					break;
			} catch (ExecutionException e) {
				// not yet
			}
			Thread.sleep(50);
		}
		return describe(name);
	}

	private Object gone(String name) throws Exception {
		for (int i = 0; i < 200 && get(admin.listTopics().names()).contains(name); i++)
			Thread.sleep(50);
		return get(admin.listTopics().names()).contains(name);
	}

	private Object create(NewTopic... topics) throws Exception {
		var result = admin.createTopics(List.of(topics));
		StringBuilder out = new StringBuilder();

		get(result.all());
		for (NewTopic t : topics)
			out.append(get(result.numPartitions(t.name()))).append('x').append(get(result.replicationFactor(t.name()))).append(' ');
		return out;
	}

	private static ClientQuotaEntity quotaOf(String... pairs) {
		Map<String, String> m = new HashMap<>();

		for (int i = 0; i < pairs.length; i += 2)
			m.put(pairs[i], pairs[i + 1]);
		return new ClientQuotaEntity(m);
	}

	private Object quota(ClientQuotaEntity e, String key, Double value) throws Exception {
		return get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(e, List.of(new ClientQuotaAlteration.Op(key, value))))).all());
	}

	private Object quotas(ClientQuotaFilterComponent... c) throws Exception {
		Map<String, String> rows = new TreeMap<>();

		get(admin.describeClientQuotas(ClientQuotaFilter.contains(List.of(c))).entities())
		    .forEach((e, v) -> rows.put(new TreeMap<>(e.entries()).toString(), new TreeMap<>(v).toString()));
		return rows;
	}

	private Object credentials(String... users) throws Exception {
		Map<String, String> rows = new TreeMap<>();

		get(admin.describeUserScramCredentials(List.of(users)).all()).forEach((u, d) -> rows.put(u, d.credentialInfos().toString()));
		return rows;
	}

	private Object logDirs(int id) throws Exception {
		StringBuilder out = new StringBuilder();

		get(admin.describeLogDirs(List.of(id)).allDescriptions()).get(id).forEach((path, d) -> {
			TreeMap<String, Long> sizes = new TreeMap<>();

			d.replicaInfos().forEach((tp, i) -> { if (tp.topic().startsWith("day.")) sizes.put(tp.toString(), i.size()); });
			out.append(path).append(' ').append(d.error()).append(' ').append(sizes);
		});
		return out;
	}

	void run() throws Exception {
		TopicPartition one = new TopicPartition("day.one", 0), nobody = new TopicPartition("day.nobody", 0);
		int id = get(admin.describeCluster().nodes()).iterator().next().id();

		step("cluster", () -> get(admin.describeCluster().nodes()).size() + " " + get(admin.describeCluster().controller()).id());
		step("features", () -> get(admin.describeFeatures().featureMetadata()).finalizedFeatures());
		// ---- topics
		step("create", () -> create(new NewTopic("day.one", 3, (short)1).configs(Map.of("retention.ms", "-1", "cleanup.policy", "compact,delete"))));
		step("create by hand", () -> create(new NewTopic("day.two", Map.of(0, List.of(id), 1, List.of(id)))));
		step("create with defaults", () -> create(new NewTopic("day.three", Optional.empty(), Optional.empty())));
		step("create what is there", () -> create(new NewTopic("day.one", 1, (short)1)));
		step("create with too many replicas", () -> create(new NewTopic("day.four", 1, (short)3)));
		step("create with a bad name", () -> create(new NewTopic("day/one", 1, (short)1)));
		step("create with a bad setting", () -> create(new NewTopic("day.four", 1, (short)1).configs(Map.of("retention.ms", "soon"))));
		step("describe", () -> describeWhenThere("day.one", 3) + " " + describeWhenThere("day.two", 2));
		step("describe nobody", () -> describe("day.nobody"));
		step("grow", () -> get(admin.createPartitions(Map.of("day.one", NewPartitions.increaseTo(5))).all()));
		step("grow by hand", () -> get(admin.createPartitions(Map.of("day.two", NewPartitions.increaseTo(3, List.of(List.of(id))))).all()));
		step("grow to less", () -> get(admin.createPartitions(Map.of("day.one", NewPartitions.increaseTo(2))).all()));
		step("grow nobody", () -> get(admin.createPartitions(Map.of("day.nobody", NewPartitions.increaseTo(2))).all()));
		step("grown", () -> describeWhenThere("day.one", 5) + " " + describeWhenThere("day.two", 3));
		// ---- settings
		step("settings of a topic", () -> config(topic("day.one")));
		step("change a topic", () -> change(topic("day.one"), AlterConfigOp.OpType.SET, "max.message.bytes", "5000", "segment.ms", "123456"));
		step("append to a topic's list", () -> change(topic("day.two"), AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact"));
		step("take from a topic's list", () -> change(topic("day.one"), AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "compact"));
		step("delete from a topic", () -> change(topic("day.one"), AlterConfigOp.OpType.DELETE, "segment.ms", ""));
		step("change a topic badly", () -> change(topic("day.one"), AlterConfigOp.OpType.SET, "flush.ms", "now"));
		step("change nobody", () -> change(topic("day.nobody"), AlterConfigOp.OpType.SET, "flush.ms", "5"));
		step("settings of a topic, changed", () -> config(topic("day.one")) + config(topic("day.two")));
		step("change the broker", () -> change(broker("" + id), AlterConfigOp.OpType.SET, "log.cleaner.threads", "2", "background.threads", "11"));
		step("change the default", () -> change(broker(""), AlterConfigOp.OpType.SET, "log.retention.bytes", "1000000000", "message.max.bytes", "900000"));
		step("change the broker badly", () -> change(broker("" + id), AlterConfigOp.OpType.SET, "broker.id", "9"));
		step("settings of the broker", () -> configWhen(broker("" + id), "background.threads=11 ", "message.max.bytes=900000 "));
		step("settings of a topic under it", () -> configWhen(topic("day.three"), "max.message.bytes=900000 "));
		step("back to before", () -> change(broker("" + id), AlterConfigOp.OpType.DELETE, "log.cleaner.threads", "", "background.threads", ""));
		step("back to before, default", () -> change(broker(""), AlterConfigOp.OpType.DELETE, "log.retention.bytes", "", "message.max.bytes", ""));
		// ---- quotas and credentials
		step("quota of a user", () -> quota(quotaOf("user", "day user"), "producer_byte_rate", 1e9));
		step("quota of a user and client", () -> quota(quotaOf("user", "day user", "client-id", "c/1"), "consumer_byte_rate", 2.5e8));
		step("quota of the default client", () -> quota(quotaOf("client-id", null), "request_percentage", 250.0));
		step("quota of an address", () -> quota(quotaOf("ip", "10.1.2.3"), "connection_creation_rate", 1000.0));
		step("quota without sense", () -> quota(quotaOf("user", "day user"), "no_such_rate", 1.0));
		step("quota below zero", () -> quota(quotaOf("user", "day user"), "producer_byte_rate", -5.0));
		step("quotas", () -> quotas());
		step("quotas of a user", () -> quotas(ClientQuotaFilterComponent.ofEntity("user", "day user")));
		step("quota removed", () -> quota(quotaOf("client-id", null), "request_percentage", null));
		step("quotas at last", () -> quotas());
		step("credential", () -> get(admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("day user",
		    new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret".getBytes(), "salt".getBytes()))).all()));
		step("credential, second", () -> get(admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("day user",
		    new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192), "secret".getBytes(), "salt".getBytes()))).all()));
		step("credential with few iterations", () -> get(admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("day user",
		    new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 1), "secret".getBytes(), "salt".getBytes()))).all()));
		step("credentials", () -> credentials());
		step("credential deleted", () -> get(admin.alterUserScramCredentials(List.of(
		    new UserScramCredentialDeletion("day user", ScramMechanism.SCRAM_SHA_256))).all()));
		step("credential deleted twice", () -> get(admin.alterUserScramCredentials(List.of(
		    new UserScramCredentialDeletion("day user", ScramMechanism.SCRAM_SHA_256))).all()));
		step("credentials at last", () -> credentials("day user"));
		step("credentials of nobody", () -> credentials("nobody"));
		// ---- partitions
		step("offsets", () -> get(admin.listOffsets(Map.of(one, OffsetSpec.latest())).all()).get(one).offset());
		step("delete records", () -> get(admin.deleteRecords(Map.of(one, RecordsToDelete.beforeOffset(0))).all()));
		step("delete records not there", () -> get(admin.deleteRecords(Map.of(one, RecordsToDelete.beforeOffset(5))).all()));
		step("producers", () -> get(admin.describeProducers(List.of(one)).all()).get(one).activeProducers());
		step("log directories", () -> logDirs(id));
		step("move a replica nowhere", () -> get(admin.alterReplicaLogDirs(Map.of(new TopicPartitionReplica("day.one", 0, id), "/nowhere")).all()));
		step("elect", () -> get(admin.electLeaders(ElectionType.PREFERRED, Set.of(one)).partitions()).get(one).map(e -> e.getClass().getSimpleName()));
		step("elect nobody", () -> get(admin.electLeaders(ElectionType.UNCLEAN, Set.of(nobody)).partitions()).get(nobody).map(e -> e.getClass().getSimpleName()));
		step("reassign to nobody", () -> get(admin.alterPartitionReassignments(Map.of(one, Optional.of(new NewPartitionReassignment(List.of(55))))).all()));
		step("reassign to itself", () -> get(admin.alterPartitionReassignments(Map.of(one, Optional.of(new NewPartitionReassignment(List.of(id))))).all()));
		step("cancel what is not", () -> get(admin.alterPartitionReassignments(Map.of(one, Optional.empty())).all()));
		step("reassignments", () -> get(admin.listPartitionReassignments().reassignments()));
		// ---- what there is not
		step("acls", () -> get(admin.describeAcls(AclBindingFilter.ANY).values()));
		step("tokens", () -> get(admin.describeDelegationToken().delegationTokens()));
		// ---- the end
		step("delete", () -> get(admin.deleteTopics(List.of("day.two", "day.three")).all()));
		step("delete nobody", () -> get(admin.deleteTopics(List.of("day.nobody")).all()));
		step("gone", () -> gone("day.two") + " " + gone("day.three"));
		step("topics", () -> {
			TreeSet<String> names = new TreeSet<>(get(admin.listTopics().names()));
			names.removeIf(n -> !n.startsWith("day."));
			return names;
		});
		admin.close();
	}

	public static void main(String[] arguments) throws Exception {
		List<String> leftOut = arguments[0].isEmpty() ? List.of() : List.of(arguments[0].split(","));

		for (int i = 1; i < arguments.length; i += 2) {
			System.out.println("broker");
			new AdminScript(leftOut, arguments[i], arguments[i + 1]).run();
		}
	}
}
