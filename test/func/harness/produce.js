// SPDX-License-Identifier: Apache-2.0
// kafkajs as a producer: node produce.js BROKER TOPIC CODEC ACKS [idempotent] < base64 values, one a line.  Prints "produced N".
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require("kafkajs");
const SnappyCodec = require("kafkajs-snappy");
CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec;

const [broker, topic, codec, acks, idempotent] = process.argv.slice(2);
const compression = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }[codec];

async function main() {
	const values = require("fs").readFileSync(0, "utf8").split("\n").filter((l) => l.length > 0).map((l) => Buffer.from(l, "base64"));
	const kafka = new Kafka({ clientId: "kafkajs", brokers: [broker], logLevel: logLevel.ERROR });
	const producer = kafka.producer({ idempotent: idempotent === "idempotent", allowAutoTopicCreation: false });
	await producer.connect();
	for (let i = 0; i < values.length; i += 100)
		await producer.send({ topic, acks: Number(acks), compression,
			messages: values.slice(i, i + 100).map((value) => ({ value, partition: 0 })) });
	await producer.disconnect();
	console.log(`produced ${values.length}`);
}

main().catch((e) => { console.error(e); process.exit(1); });
