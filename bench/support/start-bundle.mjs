// Loads one function's bundle as Lambda does, calls it once where that needs no cloud, and prints how long each took.
import { Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const [bundle, name] = process.argv.slice(2);
globalThis.awslambda = {
  streamifyResponse: (handler) => handler,
  HttpResponseStream: { from: (stream) => stream },
};
const startedAt = performance.now();
const { handler } = await import(pathToFileURL(bundle).href);
const loadedAt = performance.now();

const context = { awsRequestId: "bench", getRemainingTimeInMillis: () => 60_000 };
const request = {
  headers: { host: "bench" },
  rawPath: "/healthz",
  rawQueryString: "",
  isBase64Encoded: false,
  requestContext: { http: { method: "GET" }, domainName: "bench" },
};
const calls = {
  Api: () => handler(request, new Writable({ write: (_chunk, _encoding, done) => done() }), context),
  Fold: () => handler({ Records: [] }, context),
  Chores: () => handler({ Records: [] }, context),
  DeadLetters: () => handler({ Records: [] }, context),
};
const call = calls[name];
await call?.();
const firstMs = call ? performance.now() - loadedAt : undefined;
process.stdout.write(`${JSON.stringify({ loadMs: loadedAt - startedAt, firstMs })}\n`);
process.exit(0);
