import { describe, expect, it } from "vitest";
import {
  buildQueueAttributes,
  changeQueueAttributes,
  deriveSettings,
  findDifferingAttribute,
  parseQueueArn,
} from "./queue-attributes.ts";

const ARN = "arn:aws:sqs:eu-central-1:000000000000:dead";

describe("buildQueueAttributes", () => {
  it("fills in the defaults of a standard and of a FIFO queue", () => {
    expect(deriveSettings(buildQueueAttributes("q", {}))).toEqual({
      isFifo: false,
      delaySeconds: 0,
      maximumMessageBytes: 1_048_576,
      retentionSeconds: 345_600,
      receiveWaitSeconds: 0,
      visibilityTimeoutSeconds: 30,
      contentBasedDeduplication: false,
      deduplicatesPerGroup: false,
      redrive: undefined,
      redriveAllow: { redrivePermission: "allowAll" },
    });
    expect(buildQueueAttributes("q.fifo", { FifoQueue: "true" })).toMatchObject({
      FifoQueue: "true",
      ContentBasedDeduplication: "false",
      DeduplicationScope: "queue",
      FifoThroughputLimit: "perQueue",
    });
  });

  it("wants the suffix for FIFO queues and refuses it for others", () => {
    expect(() => buildQueueAttributes("q", { FifoQueue: "true" })).toThrow(/\.fifo suffix/);
    expect(() => buildQueueAttributes("q.fifo", {})).toThrow(/alphanumeric/);
    expect(() => buildQueueAttributes(`${"x".repeat(76)}.fifo`, { FifoQueue: "true" })).toThrow(/1 to 80/);
  });

  it("refuses attributes of FIFO queues for standard queues", () => {
    for (const name of ["ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit", "FifoQueue"]) {
      expect(() => buildQueueAttributes("q", { [name]: "false" }), name).toThrow();
    }
  });
});

describe("changeQueueAttributes", () => {
  const current = buildQueueAttributes("q", {});

  it("writes a redrive policy in one form and removes it when it is empty", () => {
    const policy = JSON.stringify({ maxReceiveCount: "3", deadLetterTargetArn: ARN });
    const changed = changeQueueAttributes(current, { RedrivePolicy: policy });
    expect(changed.RedrivePolicy).toBe(`{"deadLetterTargetArn":"${ARN}","maxReceiveCount":3}`);
    expect(changeQueueAttributes(changed, { RedrivePolicy: "" })).toEqual(current);
  });

  it("checks who may use a dead-letter queue", () => {
    const allow = (policy: unknown) => changeQueueAttributes(current, { RedriveAllowPolicy: JSON.stringify(policy) });
    expect(deriveSettings(allow({ redrivePermission: "denyAll" })).redriveAllow).toEqual({
      redrivePermission: "denyAll",
    });
    expect(() => allow({ redrivePermission: "byQueue" })).toThrow(/1 to 10/);
    expect(() => allow({ redrivePermission: "allowAll", sourceQueueArns: [ARN] })).toThrow(/only when/);
    expect(() => allow({ redrivePermission: "some" })).toThrow(/allowAll, denyAll or byQueue/);
    expect(() => changeQueueAttributes(current, { RedriveAllowPolicy: "no json" })).toThrow(/not a valid JSON map/);
  });

  it("allows one kind of encryption at a time", () => {
    const withKey = changeQueueAttributes(current, { KmsMasterKeyId: "alias/key" });
    expect(withKey).toMatchObject({ KmsMasterKeyId: "alias/key", SqsManagedSseEnabled: "false" });
    const both = { KmsMasterKeyId: "alias/key", SqsManagedSseEnabled: "true" };
    expect(() => changeQueueAttributes(current, both)).toThrow(/one type/);
  });

  it("allows throughput per group only with deduplication per group", () => {
    const fifo = buildQueueAttributes("q.fifo", { FifoQueue: "true" });
    const perGroup = { FifoThroughputLimit: "perMessageGroupId" };
    expect(() => changeQueueAttributes(fifo, perGroup)).toThrow(/messageGroup/);
    expect(changeQueueAttributes(fifo, { ...perGroup, DeduplicationScope: "messageGroup" })).toMatchObject(perGroup);
  });
});

describe("findDifferingAttribute", () => {
  it("compares only what is given, and by meaning", () => {
    const policy = JSON.stringify({ maxReceiveCount: 3, deadLetterTargetArn: ARN });
    const existing = buildQueueAttributes("q", { VisibilityTimeout: "60", RedrivePolicy: policy });
    expect(findDifferingAttribute(existing, {})).toBeUndefined();
    const same = { VisibilityTimeout: "060", RedrivePolicy: policy.replace("3", '"3"') };
    expect(findDifferingAttribute(existing, same)).toBeUndefined();
    expect(findDifferingAttribute(existing, { DelaySeconds: "1" })).toBe("DelaySeconds");
  });
});

describe("parseQueueArn", () => {
  it("splits an ARN and refuses what is none", () => {
    expect(parseQueueArn(ARN)).toEqual({ region: "eu-central-1", accountId: "000000000000", queueName: "dead" });
    expect(parseQueueArn("arn:aws:sns:eu-central-1:000000000000:dead")).toBeUndefined();
    expect(parseQueueArn("dead")).toBeUndefined();
  });
});
