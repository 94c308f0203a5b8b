import { startDynamoDb } from "../../../local/dynamodb/index.ts";

// Run by the tests as a process of its own, to be killed: starts the embedded server on the folder given, tells where
// it is and stays.
const [dataDir] = process.argv.slice(2);
if (dataDir === undefined) throw new Error("usage: parent-process.ts DATA_DIR");
const server = await startDynamoDb({ dataDir });
process.stdout.write(`${JSON.stringify({ pid: server.pid, url: server.url })}\n`);
await server.exited;
