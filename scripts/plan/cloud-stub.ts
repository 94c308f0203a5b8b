import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What SST's CLI reads from an account before it looks at the program: where its own things are, and a passphrase. */
const bootstrap = {
  // Higher than any: nothing is to be set up.
  version: 999,
  asset: "sst-asset-plan",
  state: "sst-state-plan",
  assetEcrRegistryId: "000000000000",
  assetEcrUrl: "000000000000.dkr.ecr.us-east-1.amazonaws.com/sst-asset",
  appsyncHttp: "plan.invalid",
  appsyncRealtime: "plan.invalid",
};

/** A stand-in for the two services the CLI asks: Parameter Store answers, S3 is empty. */
export async function startCloudStub(): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    readBody(request).then(
      (body) => answer(request, response, body),
      () => response.destroy(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function answer(request: IncomingMessage, response: ServerResponse, body: string): void {
  if (request.headers["x-amz-target"] === "AmazonSSM.GetParameter") {
    const { Name } = JSON.parse(body) as { Name: string };
    const Value = Name === "/sst/bootstrap" ? JSON.stringify(bootstrap) : Buffer.alloc(32).toString("base64");
    response.writeHead(200, { "content-type": "application/x-amz-json-1.1" });
    response.end(JSON.stringify({ Parameter: { Name, Type: "String", Value, Version: 1 } }));
    return;
  }
  if (request.method === "GET") {
    response.writeHead(404, { "content-type": "application/xml" });
    response.end("<Error><Code>NoSuchKey</Code><Message>there is nothing here</Message></Error>");
    return;
  }
  // A plan writes nothing; whatever does is a mistake.
  response.writeHead(403, { "content-type": "application/xml" });
  response.end("<Error><Code>AccessDenied</Code><Message>a plan writes nothing</Message></Error>");
}
