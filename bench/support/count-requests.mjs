// Preloaded into every process of a stack (NODE_OPTIONS=--import): counts what it asks of AWS, by service and
// operation, and of the API, and adds the counts to the file named by SLUICE_REQUEST_COUNTS, one JSON line a flush.
import { subscribe } from "node:diagnostics_channel";
import { appendFileSync } from "node:fs";

const file = process.env.SLUICE_REQUEST_COUNTS;
const counts = new Map();

function nameRequest(request) {
  const target = request.getHeader("x-amz-target");
  if (typeof target === "string") {
    const [service, operation] = target.split(".");
    return `${service.replace(/_\d+$/, "")} ${operation}`;
  }
  const authorization = String(request.getHeader("authorization") ?? "");
  const signedForS3 = authorization.includes("/s3/aws4_request") || request.path.includes("X-Amz-Signature");
  if (signedForS3) return `S3 ${request.method}`;
  if (!request.path.startsWith("/v1/")) return undefined;
  return request.path.endsWith("/heartbeat") ? "API heartbeat" : "API call";
}

if (file) {
  subscribe("http.client.request.start", ({ request }) => {
    const name = nameRequest(request);
    if (name) counts.set(name, (counts.get(name) ?? 0) + 1);
  });
  const flush = () => {
    if (counts.size === 0) return;
    appendFileSync(file, `${JSON.stringify(Object.fromEntries(counts))}\n`);
    counts.clear();
  };
  setInterval(flush, 100).unref();
  process.on("exit", flush);
}
