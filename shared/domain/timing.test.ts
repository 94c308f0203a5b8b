import { describe, expect, it } from "vitest";
import { defaultCallTimeoutMs } from "../api-client/transport.ts";
import { functionAwsOptions } from "../clients/aws-options.ts";
import { functionLimits } from "../infrastructure/functions.ts";
import { queueAttributes } from "../infrastructure/queues.ts";
import { schedules } from "../infrastructure/schedules.ts";
import { limits } from "./limits.ts";
import { maxAttempts, maxInfrastructureAttempts, maxReceiveCount, timing } from "./timing.ts";

describe("the times that parts agree on", () => {
  it("fit into each other: heartbeats into a lease, a lease and a drain into the visibility timeout", () => {
    expect(timing.heartbeatMs * 3).toBeLessThanOrEqual(timing.leaseMs);
    expect(timing.leaseMs).toBeLessThanOrEqual(timing.visibilityTimeoutSeconds * 1000);
    expect(timing.drainMs).toBeLessThan(timing.visibilityTimeoutSeconds * 1000);
    expect(timing.killGraceMs).toBeLessThan(timing.drainMs);
    expect(timing.logFlushMs).toBeLessThan(2_000);
  });

  it("leave a worker room to end what has timed out before the control plane does", () => {
    const { heartbeatMs, killGraceMs, uploadDeadlineMs, overdueMs, workerSilentMs } = timing;
    expect(heartbeatMs + killGraceMs + uploadDeadlineMs).toBeLessThan(overdueMs);
    expect(workerSilentMs).toBe(3 * heartbeatMs);
  });

  it("are those of the queues", () => {
    expect(queueAttributes.VisibilityTimeout).toBe(timing.visibilityTimeoutSeconds);
    expect(queueAttributes.MessageRetentionPeriod).toBeLessThanOrEqual(14 * 24 * 3600);
    expect(queueAttributes.ReceiveMessageWaitTimeSeconds).toBeLessThanOrEqual(20);
  });

  it("let a function's calls end before its callers give up, and a function before it is called again", () => {
    const { requestHandler, maxAttempts: tries } = functionAwsOptions;
    const longestCallMs = tries * requestHandler.socketTimeout;
    expect(longestCallMs).toBeLessThan(defaultCallTimeoutMs);
    for (const { timeoutSeconds } of Object.values(functionLimits)) {
      expect(longestCallMs).toBeLessThan(timeoutSeconds * 1000);
    }
    expect(functionLimits.sweep.timeoutSeconds).toBeLessThan(schedules.sweep.everySeconds);
    expect(limits.followSeconds).toBeLessThan(functionLimits.api.timeoutSeconds);
  });

  it("leave room for what comes back: releases beside failures, sweeps between them", () => {
    expect(maxInfrastructureAttempts).toBeLessThan(maxReceiveCount);
    expect(maxInfrastructureAttempts).toBeLessThan(maxAttempts);
    expect(schedules.sweep.everySeconds).toBeLessThanOrEqual(60);
  });
});
