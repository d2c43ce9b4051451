// SPDX-License-Identifier: Apache-2.0
// kafkajs as a member of a group: node consume.js BROKER GROUP TOPIC STRATEGY.  It assigns by the name "range", which every other client knows, or by its own
// "RoundRobinAssigner", and prints "[partition, offset, value]" for each record.  SIGTERM leaves the group.
const { Kafka, AssignerProtocol: { MemberMetadata, MemberAssignment }, PartitionAssigners, logLevel } = require("kafkajs");

const [broker, groupId, topic, strategy] = process.argv.slice(2);

const range = ({ cluster }) => ({
	name: "range",
	version: 0,
	protocol({ topics }) {
		return { name: "range", metadata: MemberMetadata.encode({ version: 0, topics, userData: Buffer.alloc(0) }) };
	},
	async assign({ members, topics }) {
		const ids = members.map((m) => m.memberId).sort();
		const shares = Object.fromEntries(ids.map((id) => [id, {}]));
		for (const t of topics) {
			const all = cluster.findTopicPartitionMetadata(t).map((p) => p.partitionId).sort((a, b) => a - b);
			ids.forEach((id, i) => {
				const from = Math.floor(i * all.length / ids.length), to = Math.floor((i + 1) * all.length / ids.length);
				if (to > from)
					shares[id][t] = all.slice(from, to);
			});
		}
		return ids.map((id) => ({ memberId: id, memberAssignment: MemberAssignment.encode({ version: 0, assignment: shares[id],
			userData: Buffer.alloc(0) }) }));
	},
});

const assigners = { range, RoundRobinAssigner: PartitionAssigners.roundRobin };

async function main() {
	const kafka = new Kafka({ clientId: "kafkajs", brokers: [broker], logLevel: logLevel.NOTHING });
	const consumer = kafka.consumer({ groupId, partitionAssigners: [assigners[strategy]], sessionTimeout: 10000, heartbeatInterval: 300,
		maxWaitTimeInMs: 300 });	// it hears of a rebalance between two fetches
	process.on("SIGTERM", async () => { await consumer.disconnect(); process.exit(0); });
	await consumer.connect();
	await consumer.subscribe({ topics: [topic], fromBeginning: true });
	await consumer.run({ eachMessage: async ({ partition, message }) =>
		console.log(JSON.stringify([partition, Number(message.offset), message.value.toString()])) });
}

main().catch((e) => { console.error(e); process.exit(1); });
