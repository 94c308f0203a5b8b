import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { extract } from "tar-stream";
import { onTestFinished } from "vitest";

interface Descriptor {
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

/** What it holds: names (as `docker images` shows them) of manifests, and their layers. */
export interface ContainerdDocker {
  socketPath: string;
  tags: Map<string, { manifestDigest: string; layers: string[]; bytes: number }>;
}

/**
 * As much of Docker's API as loading images needs, with what a containerd image store does otherwise: an image is
 * called by its manifest's digest and nothing else, and an archive is read by its OCI index, with every blob in it.
 * Written after Docker 25's code; it is not that code.
 */
export async function startContainerdDocker(folder: string): Promise<ContainerdDocker> {
  const socketPath = join(folder, "docker.sock");
  const tags: ContainerdDocker["tags"] = new Map();
  const server = createServer((request, response) => {
    answer(request, response, tags).catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { socketPath, tags };
}

async function answer(request: IncomingMessage, response: ServerResponse, tags: ContainerdDocker["tags"]) {
  const path = decodeURIComponent((request.url ?? "").replace(/^\/v[\d.]+|\?.*$/g, ""));
  if (path === "/info") {
    return send(response, 200, { ID: "fake", DriverStatus: [["driver-type", "io.containerd.snapshotter.v1"]] });
  }
  if (path === "/images/load") return load(request, response, tags);
  const name = /^\/images\/(.+?)(\/json)?$/.exec(path)?.[1] ?? "";
  const image = tags.get(name) ?? [...tags.values()].find(({ manifestDigest }) => manifestDigest === name);
  if (image === undefined) return send(response, 404, { message: `No such image: ${name}` });
  if (request.method === "DELETE") {
    tags.delete(name);
    return send(response, 200, [{ Untagged: name }]);
  }
  return send(response, 200, { Id: image.manifestDigest, Size: image.bytes, RootFS: { Layers: image.layers } });
}

async function load(request: IncomingMessage, response: ServerResponse, tags: ContainerdDocker["tags"]) {
  const files = new Map<string, Buffer>();
  const entries = extract();
  request.pipe(entries);
  for await (const entry of entries) files.set(entry.header.name, await buffer(entry));
  const open = ({ digest, size }: Descriptor): Buffer => {
    const content = files.get(`blobs/${digest.replace(":", "/")}`);
    if (content === undefined) throw new Error(`content digest ${digest}: not found`);
    const found = `sha256:${createHash("sha256").update(content).digest("hex")}`;
    if (found !== digest || content.length !== size) throw new Error(`unexpected commit digest ${found}`);
    return content;
  };
  try {
    const layout = parse<{ imageLayoutVersion: string }>(files.get("oci-layout"));
    if (layout.imageLayoutVersion !== "1.0.0") throw new Error("unrecognized image format");
    const index = parse<{ manifests: Descriptor[] }>(files.get("index.json"));
    for (const described of index.manifests) {
      const manifest = parse<{ config: Descriptor; layers: Descriptor[] }>(open(described));
      const config = parse<{ rootfs: { diff_ids: string[] } }>(open(manifest.config));
      const layers = manifest.layers.map(open);
      const tag = (described.annotations?.["io.containerd.image.name"] ?? "").replace("docker.io/library/", "");
      const bytes = layers.reduce((sum, layer) => sum + layer.length, 0);
      tags.set(tag, { manifestDigest: described.digest, layers: config.rootfs.diff_ids, bytes });
    }
    send(response, 200, { stream: "Loaded image\n" });
  } catch (error) {
    send(response, 200, { errorDetail: {}, error: (error as Error).message });
  }
}

function parse<T>(content: Buffer | undefined): T {
  if (content === undefined) throw new Error("unrecognized image format");
  return JSON.parse(content.toString()) as T;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
