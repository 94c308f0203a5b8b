import { createSqsServer } from "../../../local/sqs/index.ts";

// The embedded server in a process of its own, for tests that kill it: node server-process.ts <options as JSON>.
const server = await createSqsServer(JSON.parse(process.argv[2] ?? "{}"));
process.send?.({ url: server.url, port: server.port });
// Ends with the test that started it, however that ends.
process.on("disconnect", () => process.exit(0));
