import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { verifySignature } from "../../local/aws/signature.ts";

/** Who may ask the stand-in. */
export const ecrCredentials = { accessKeyId: "AKIDTEST", secretAccessKey: "test-secret", sessionToken: "test-session" };

/** ECR's endpoint, as far as it gives tokens. */
export interface EcrServer {
  url: string;
  /** The next tokens, one after the other; the last one again and again. */
  tokens: string[];
  /** Answers so many of the next requests with this error. */
  fail(status: number, type: string, times: number): void;
  requests: number;
}

/** Starts a stand-in that checks signatures for one region; it ends with the test. */
export async function startEcr(region: string): Promise<EcrServer> {
  let failures = { status: 500, type: "ServerException", times: 0 };
  const ecr: EcrServer = {
    url: "",
    tokens: ["token"],
    requests: 0,
    fail: (status, type, times) => {
      failures = { status, type, times };
    },
  };
  const server = createServer(async (request, response) => {
    ecr.requests++;
    const body = await text(request);
    const refuse = (status: number, type: string, message: string) =>
      response.writeHead(status).end(JSON.stringify({ __type: `com.amazonaws.ecr#${type}`, message }));
    const target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
    if (request.headers["x-amz-target"] !== target) return refuse(400, "UnknownOperationException", "what?");
    const bodySha256 = createHash("sha256").update(body).digest("hex");
    const verdict = await verifySignature(
      { method: request.method ?? "", url: request.url ?? "", headers: request.headers, bodySha256 },
      { credentials: ecrCredentials, service: "ecr", region, now: new Date() },
    );
    if (!verdict.ok) return refuse(400, "InvalidSignatureException", JSON.stringify(verdict));
    if (failures.times > 0) {
      failures.times--;
      return refuse(failures.status, failures.type, "the role is not authorized to perform ecr:GetAuthorizationToken");
    }
    const token = ecr.tokens.length > 1 ? ecr.tokens.shift() : ecr.tokens[0];
    const authorizationToken = Buffer.from(`AWS:${token}`).toString("base64");
    const expiresAt = Date.now() / 1000 + 43_200;
    return response.end(JSON.stringify({ authorizationData: [{ authorizationToken, expiresAt }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  ecr.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return ecr;
}
