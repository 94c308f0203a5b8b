import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** How the stand-in answers: as it should, not at all, or with the same for every question. */
export type MetadataMood = { kind: "well" } | { kind: "silent" } | { kind: "all"; status: number; text: string };

/** A cloud's metadata service: EC2's, which insists on tokens (IMDSv2), and Nova's beside it. */
export interface MetadataServer {
  url: string;
  /** What is told below `/latest/meta-data/`; the rest is 404. */
  readonly ec2: Map<string, string>;
  /** What Nova tells; undefined where it is not Nova. */
  openStack: object | undefined;
  mood: MetadataMood;
  /** Tokens that were given out and count. */
  readonly tokens: Set<string>;
  /** Questions so far, as `METHOD path`. */
  readonly asked: string[];
}

const longestTtlSeconds = 21_600;

/** Starts a stand-in; it ends with the test. */
export async function startMetadataServer(): Promise<MetadataServer> {
  const metadata: MetadataServer = {
    url: "",
    ec2: new Map([
      ["instance-id", "i-0123456789abcdef0"],
      ["instance-type", "c7g.xlarge"],
    ]),
    openStack: undefined,
    mood: { kind: "well" },
    tokens: new Set(),
    asked: [],
  };
  const server = createServer((request, response) => {
    const [status, text] = answer(metadata, request) ?? [];
    if (status !== undefined) response.writeHead(status).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  metadata.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return metadata;
}

/** Undefined where it says nothing at all. */
function answer(metadata: MetadataServer, request: IncomingMessage): [status: number, text?: string] | undefined {
  const { mood, tokens, openStack, ec2 } = metadata;
  const { method = "", url = "", headers } = request;
  metadata.asked.push(`${method} ${url}`);
  if (mood.kind === "silent") return undefined;
  if (mood.kind === "all") return [mood.status, mood.text];
  if (method === "PUT" && url === "/latest/api/token") {
    const ttlSeconds = Number(headers["x-aws-ec2-metadata-token-ttl-seconds"]);
    // EC2 gives none to who was forwarded a question: a proxy would hand them on.
    if (headers["x-forwarded-for"] !== undefined) return [403];
    if (!(ttlSeconds >= 1 && ttlSeconds <= longestTtlSeconds)) return [400];
    const token = `token-${tokens.size + 1}==`;
    tokens.add(token);
    return [200, token];
  }
  if (method !== "GET") return [405];
  if (openStack !== undefined && url === "/openstack/latest/meta_data.json") return [200, JSON.stringify(openStack)];
  // Nova's copy of EC2's service is its first version, without tokens.
  if (openStack === undefined && !tokens.has(String(headers["x-aws-ec2-metadata-token"]))) return [401];
  const text = ec2.get(url.replace("/latest/meta-data/", ""));
  return text === undefined ? [404] : [200, text];
}
