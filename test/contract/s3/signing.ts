import { createHash, createHmac } from "node:crypto";
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";
import { credentials } from "./target.ts";

const region = "us-east-1";

/** A request that is signed in its headers, to be sent as it is or tampered with. */
export interface HandSigned {
  url: string;
  headers: Record<string, string>;
}

/** Signs a PUT by hand; `sha256` is the value of x-amz-content-sha256. */
export function signPut(
  endpoint: string,
  path: string,
  sha256: string,
  more: Record<string, string> = {},
  query: Record<string, string> = {},
): Promise<HandSigned> {
  return sign("PUT", endpoint, path, { "x-amz-content-sha256": sha256, ...more }, query);
}

/** Signs a GET by hand. */
export function signGet(endpoint: string, path: string): Promise<HandSigned> {
  return sign("GET", endpoint, path, { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" }, {});
}

async function sign(
  method: string,
  endpoint: string,
  path: string,
  headers: Record<string, string>,
  query: Record<string, string>,
): Promise<HandSigned> {
  const { host, hostname } = new URL(endpoint);
  const signer = new SignatureV4({ credentials, region, service: "s3", sha256: Sha256, uriEscapePath: false });
  const signed = await signer.sign({
    method,
    protocol: "http:",
    hostname,
    path,
    query,
    headers: { host, ...headers },
  });
  const parameters = new URLSearchParams(query).toString();
  return { url: `${endpoint}${path}${parameters === "" ? "" : `?${parameters}`}`, headers: signed.headers };
}

/** Frames a body as signed chunks, with signed trailers where there are any. */
export function buildSignedChunks(
  { headers }: HandSigned,
  chunks: readonly string[],
  trailers: Record<string, string> = {},
): string {
  const [, day = "", seed = ""] =
    /Credential=[^/]+\/(\d{8})\/.*Signature=([0-9a-f]{64})/.exec(headers.authorization ?? "") ?? [];
  const scope = `${day}/${region}/s3/aws4_request`;
  const key = [day, region, "s3", "aws4_request"].reduce<Buffer>(
    (previous, part) => createHmac("sha256", previous).update(part).digest(),
    Buffer.from(`AWS4${credentials.secretAccessKey}`),
  );
  const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
  let previous = seed;
  const sign = (kind: string, ...hashes: string[]) => {
    const text = [kind, headers["x-amz-date"], scope, previous, ...hashes].join("\n");
    previous = createHmac("sha256", key).update(text).digest("hex");
    return previous;
  };
  const framed = [...chunks, ""].map((chunk) => {
    const signature = sign("AWS4-HMAC-SHA256-PAYLOAD", sha256(""), sha256(chunk));
    return `${chunk.length.toString(16)};chunk-signature=${signature}\r\n${chunk}${chunk === "" ? "" : "\r\n"}`;
  });
  const lines = Object.entries(trailers).map(([name, value]) => `${name}:${value}`);
  if (lines.length > 0) {
    const signature = sign("AWS4-HMAC-SHA256-TRAILER", sha256(lines.map((line) => `${line}\n`).join("")));
    lines.push(`x-amz-trailer-signature:${signature}`);
  }
  return `${framed.join("")}${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
}
