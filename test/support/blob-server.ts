import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { zstdCompressSync } from "node:zlib";
import { onTestFinished } from "vitest";
import type { MadeImage } from "./made-image.ts";
import { digestOf } from "./saved-image.ts";

/** Answers a request for a blob in place of the server. */
export type BlobAnswer = (response: ServerResponse, blob: Buffer) => unknown;

/** A bucket that holds the blobs of images as they are shipped. */
export interface BlobServer {
  /** Digests in the order they were asked for. */
  requests: string[];
  /** From which byte on each was asked for. */
  starts: number[];
  /** Answers of the next requests for a blob, one after the other; then it is answered as it is. */
  answers: Map<string, BlobAnswer[]>;
  /** The links that a job with this image would have. */
  links(image: MadeImage): Record<string, string>;
}

/** Starts a server of an image's blobs, which ends with the test. */
export async function serveBlobs(...images: MadeImage[]): Promise<BlobServer> {
  const contents = images.flatMap((image) => [image.config, ...image.layers]);
  const blobs = new Map(contents.map((content) => [digestOf(content), zstdCompressSync(content)]));
  const requests: string[] = [];
  const starts: number[] = [];
  const answers = new Map<string, BlobAnswer[]>();
  const server = createServer((request, response) => {
    const digest = (request.url ?? "").slice(1);
    requests.push(digest);
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    starts.push(start);
    const blob = blobs.get(digest);
    if (blob === undefined) return response.writeHead(404).end();
    const answer = answers.get(digest)?.shift();
    if (answer !== undefined) return answer(response, blob);
    if (start > 0) response.writeHead(206, { "content-range": `bytes ${start}-${blob.length - 1}/${blob.length}` });
    return response.end(blob.subarray(start));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const links = (image: MadeImage) =>
    Object.fromEntries([image.config, ...image.layers].map((part) => [digestOf(part), `${url}/${digestOf(part)}`]));
  return { requests, starts, answers, links };
}
