import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { type MadeImage, type MadeImageOptions, makeImage } from "./made-image.ts";
import { digestOf } from "./saved-image.ts";

const manifestType = "application/vnd.docker.distribution.manifest.v2+json";

/** A registry of one small image, as the distribution protocol has it; Docker takes 127.0.0.1 without TLS. */
export interface TestRegistry {
  /** `127.0.0.1:<port>`, the beginning of references to its images. */
  host: string;
  /** Digests of the image's layers, the lowest first. */
  layers: string[];
  /** Paths of the requests it had, sign-in probes aside. */
  requests: string[];
  /** Answers so many of the next requests for manifests with this status. */
  fail(status: number, times: number): void;
  close(): Promise<void>;
}

/** Starts a registry that knows `<host>/team/tool:1`; with credentials it asks everybody for them. */
export async function startRegistry(
  credentials?: { username: string; password: string },
  options: MadeImageOptions = {},
): Promise<TestRegistry> {
  const image = await makeImage(options);
  const { blobs, manifest } = await publish(image);
  const requests: string[] = [];
  let failures: { status: number; times: number } = { status: 500, times: 0 };
  const answer = (request: IncomingMessage, response: ServerResponse): unknown => {
    const path = request.url ?? "";
    response.setHeader("docker-distribution-api-version", "registry/2.0");
    if (!isAllowed(request, credentials)) {
      response.setHeader("www-authenticate", 'Basic realm="test"');
      return refuse(response, 401, "UNAUTHORIZED", "authentication required");
    }
    if (path === "/v2/") return response.writeHead(200).end("{}");
    requests.push(path);
    const blob = blobs.get(/^\/v2\/team\/tool\/blobs\/(sha256:[0-9a-f]{64})$/.exec(path)?.[1] ?? "");
    if (blob !== undefined) return send(request, response, "application/octet-stream", blob);
    const reference = /^\/v2\/team\/tool\/manifests\/(.+)$/.exec(path)?.[1];
    if (reference !== undefined && failures.times > 0) {
      failures.times--;
      return refuse(response, failures.status, "UNKNOWN", "out of order");
    }
    if (reference !== "1" && reference !== digestOf(manifest)) {
      return refuse(response, 404, "MANIFEST_UNKNOWN", "manifest unknown");
    }
    response.setHeader("docker-content-digest", digestOf(manifest));
    return send(request, response, manifestType, manifest);
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    layers: image.layers.map(digestOf),
    requests,
    fail: (status, times) => {
      failures = { status, times };
    },
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function isAllowed(request: IncomingMessage, credentials: { username: string; password: string } | undefined): boolean {
  if (credentials === undefined) return true;
  const expected = Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64");
  return request.headers.authorization === `Basic ${expected}`;
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}

function send(request: IncomingMessage, response: ServerResponse, type: string, content: Buffer): void {
  response.writeHead(200, { "content-type": type, "content-length": content.length });
  response.end(request.method === "HEAD" ? undefined : content);
}

/** The image as a registry has it: a manifest over blobs. */
async function publish(image: MadeImage): Promise<{ blobs: Map<string, Buffer>; manifest: Buffer }> {
  const layers = image.layers.map((layer) => gzipSync(layer));
  const describe = (mediaType: string, blob: Buffer) => ({ mediaType, size: blob.length, digest: digestOf(blob) });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: describe("application/vnd.docker.container.image.v1+json", image.config),
      layers: layers.map((layer) => describe("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)),
    }),
  );
  return { blobs: new Map([...layers, image.config].map((blob) => [digestOf(blob), blob])), manifest };
}
