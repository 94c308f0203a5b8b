import { request } from "node:http";
import { AddPermissionCommand, DeleteMessageCommand, type Message } from "@aws-sdk/client-sqs";
import { afterEach, describe, expect, it } from "vitest";
import { CREDENTIALS, EmbeddedScope } from "./sqs-cases/embedded.ts";
import { bodiesOf, numbered, PROMPTLY_MS, promptly, refusalOf, type SqsSession } from "./sqs-cases/session.ts";

const scope = new EmbeddedScope();
afterEach(() => scope.dispose());

async function startWithQueue(): Promise<{ url: string; session: SqsSession; queueUrl: string }> {
  const { url } = await scope.start();
  const session = scope.open(url);
  return { url, session, queueUrl: await session.createQueue({ VisibilityTimeout: "600" }) };
}

/** A bare request, without the SDK and without a signature. */
function post(url: string, headers: Record<string, string>, body: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: "POST", headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    outgoing.on("error", reject).end(body);
  });
}

describe("embedded SQS: signatures", () => {
  it("refuses another key, another secret, another region and no signature, and does nothing", async () => {
    const { url, session, queueUrl } = await startWithQueue();
    const refusedWith = async (more: Parameters<EmbeddedScope["open"]>[1]) =>
      refusalOf(scope.open(url, more).send(queueUrl, "not sent"));
    const stranger = await refusedWith({ credentials: { ...CREDENTIALS, accessKeyId: "stranger" } });
    expect([stranger.name, stranger.$metadata.httpStatusCode]).toEqual(["InvalidClientTokenId", 403]);
    const forger = await refusedWith({ credentials: { ...CREDENTIALS, secretAccessKey: "guess" } });
    expect([forger.name, forger.$metadata.httpStatusCode]).toEqual(["SignatureDoesNotMatch", 403]);
    const elsewhere = await refusedWith({ region: "us-west-2" });
    expect(elsewhere.name).toBe("SignatureDoesNotMatch");
    const target = { "x-amz-target": "AmazonSQS.SendMessage", "content-type": "application/x-amz-json-1.0" };
    const anonymous = await post(url, target, JSON.stringify({ QueueUrl: queueUrl, MessageBody: "not sent" }));
    expect(anonymous.status).toBe(403);
    expect(anonymous.body).toContain("MissingAuthenticationToken");
    expect(await session.count(queueUrl)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
  });
});

describe("embedded SQS: what it does not do", () => {
  it("says which operation is not implemented", async () => {
    const { session, queueUrl } = await startWithQueue();
    const input = { QueueUrl: queueUrl, Label: "label", AWSAccountIds: ["000000000000"], Actions: ["*"] };
    const refusal = await refusalOf(session.client.send(new AddPermissionCommand(input)));
    expect(refusal.name).toBe("UnsupportedOperation");
    expect(refusal.message).toContain("AddPermission is not implemented");
  });

  it("listens on the loopback address only and names its own address in queue URLs", async () => {
    const { url, queueUrl } = await startWithQueue();
    expect(new URL(url).hostname).toBe("127.0.0.1");
    expect(queueUrl.startsWith(`${url}/000000000000/`)).toBe(true);
  });
});

describe("embedded SQS: injected faults", () => {
  it("throttles, fails and breaks connections as configured, and the SDK's retries get through", async () => {
    const server = await scope.start();
    const session = scope.open(server.url, { maxAttempts: 3 });
    const url = await session.createQueue();
    for (const kind of ["throttle", "error500", "error503", "reset"] as const) {
      server.setFaults([{ operation: "SendMessage", kind, nth: 1 }]);
      const { $metadata } = await session.send(url, kind);
      expect($metadata.attempts, kind).toBe(2);
    }
    expect(bodiesOf(await session.receiveAll(url, 4)).sort()).toEqual(["error500", "error503", "reset", "throttle"]);
  });

  it("answers a fault to whoever does not retry, leaves other operations alone, and stops when told", async () => {
    const server = await scope.start({ faults: [{ operation: "SendMessage", kind: "throttle" }] });
    const session = scope.open(server.url);
    const url = await session.createQueue();
    const refusal = await refusalOf(session.send(url, "refused"));
    expect([refusal.name, refusal.$metadata.httpStatusCode]).toEqual(["ThrottlingException", 400]);
    expect(await session.count(url)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    server.setFaults([]);
    await session.send(url, "accepted");
    expect(await session.count(url)).toMatchObject({ visible: 1 });
  });

  it("lets an operation take effect whose client has given up waiting for the answer", async () => {
    const server = await scope.start({ faults: [{ operation: "SendMessage", kind: "delay", delayMs: 300 }] });
    const session = scope.open(server.url);
    const url = await session.createQueue();
    const abort = AbortSignal.timeout(100);
    const input = { QueueUrl: url, MessageBody: "sent, unheard" };
    const { SendMessageCommand } = await import("@aws-sdk/client-sqs");
    await refusalOf(session.client.send(new SendMessageCommand(input), { abortSignal: abort }));
    expect((await promptly(session.receiveOne(url))).Body).toBe("sent, unheard");
  });

  it("answers nothing until the client gives up", async () => {
    const server = await scope.start({ faults: [{ operation: "ReceiveMessage", kind: "timeout" }] });
    const session = scope.open(server.url);
    const url = await session.createQueue();
    const refusal = await refusalOf(session.receive(url, {}, AbortSignal.timeout(200)));
    expect(refusal.name).toBe("AbortError");
  });
});

describe("embedded SQS: limits", () => {
  it("tells short polls of a standard queue when too many messages are in flight, and goes on after a delete", async () => {
    const { url } = await scope.start({ limits: { inFlightStandard: 3 } });
    const session = scope.open(url);
    const QueueUrl = await session.createQueue({ VisibilityTimeout: "600" });
    await session.sendAll(QueueUrl, numbered(5));
    const held = await session.receive(QueueUrl, { MaxNumberOfMessages: 10 });
    expect(held).toHaveLength(3);
    expect((await refusalOf(session.receive(QueueUrl))).name).toBe("OverLimit");
    const poll = session.receive(QueueUrl, { WaitTimeSeconds: 20 });
    await session.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: held[0]?.ReceiptHandle }));
    expect(await promptly(poll)).toHaveLength(1);
  });

  it("answers nothing on a FIFO queue that has too many messages in flight", async () => {
    const { url } = await scope.start({ limits: { inFlightFifo: 2 } });
    const session = scope.open(url);
    const QueueUrl = await session.createQueue({ FifoQueue: "true", ContentBasedDeduplication: "true" });
    await session.sendAll(QueueUrl, numbered(5), { MessageGroupId: "g" });
    expect(await session.receive(QueueUrl, { MaxNumberOfMessages: 10 })).toHaveLength(2);
    expect(await session.receive(QueueUrl)).toEqual([]);
  });
});

describe("embedded SQS: fairness", () => {
  it("serves a group of one among the first, however many messages another group has waiting", async () => {
    const { session, queueUrl } = await startWithQueue();
    await session.sendAll(queueUrl, numbered(10_000, "big"), { MessageGroupId: "big" });
    await session.send(queueUrl, "small", { MessageGroupId: "small" });
    const first = await session.receive(queueUrl, { MaxNumberOfMessages: 10 });
    expect(bodiesOf(first)).toContain("small");
    // And a second group that comes later does not wait behind the first either.
    await session.sendAll(queueUrl, numbered(20, "late"), { MessageGroupId: "late" });
    const next = bodiesOf(await session.receiveAll(queueUrl, 20));
    expect(next.filter((body) => body.startsWith("late"))).toHaveLength(10);
    expect(next.filter((body) => body.startsWith("big"))).toEqual(numbered(19, "big").slice(9));
  });
});

describe("embedded SQS: clients that go away", () => {
  it("loses nothing to polls that are given up at the moment messages arrive", async () => {
    const { session, queueUrl } = await startWithQueue();
    const bodies = numbered(150);
    const received: Message[] = [];
    for (const body of bodies) {
      const abort = new AbortController();
      const poll = session.receive(queueUrl, { WaitTimeSeconds: 20 }, abort.signal).then(
        (messages) => received.push(...messages),
        (error: Error) => expect(error.name).toBe("AbortError"),
      );
      const sent = session.send(queueUrl, body);
      // Somewhere between before the send arrives and after the answer has left.
      const delay = new Promise((resolve) => setTimeout(resolve, Math.random() * 6));
      await delay;
      abort.abort();
      await Promise.all([sent, poll]);
    }
    const deadline = Date.now() + PROMPTLY_MS;
    while (received.length < bodies.length && Date.now() < deadline) {
      received.push(...(await session.receive(queueUrl, { MaxNumberOfMessages: 10, WaitTimeSeconds: 1 })));
    }
    expect(bodiesOf(received).sort()).toEqual([...bodies].sort());
  });

  it("takes messages back that were on their way to a client that was killed", async () => {
    const { session, queueUrl } = await startWithQueue();
    await session.sendAll(queueUrl, numbered(20));
    const polls = numbered(10).map(() => {
      const abort = new AbortController();
      const poll = refusalOf(session.receive(queueUrl, { MaxNumberOfMessages: 2 }, abort.signal));
      setImmediate(() => abort.abort());
      return poll;
    });
    await Promise.allSettled(polls);
    const received = await session.receiveAll(queueUrl, 20);
    expect(bodiesOf(received).sort()).toEqual(numbered(20).sort());
  });
});
