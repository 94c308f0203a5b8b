import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Lease } from "./lease.ts";

describe("Lease", () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: 0 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const open = (grantedAtMs = 0) =>
    new Lease({ attemptId: "a", leaseToken: "t", leaseMs: 30_000, grantedAtMs, nowMs: () => Date.now() });

  it("is lost by the worker's own clock before it ends for the control plane", () => {
    const lease = open();
    vi.advanceTimersByTime(28_999);
    expect(lease.lost.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(lease.lost.aborted).toBe(true);
    expect(String(lease.lost.reason)).toContain("cannot be reached");
  });

  it("counts from when a renewal was sent, not from when it was answered", () => {
    const lease = open();
    vi.advanceTimersByTime(20_000);
    lease.renew(10_000);
    vi.advanceTimersByTime(18_999);
    expect(lease.lost.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(lease.lost.aborted).toBe(true);
  });

  it("is not shortened by a renewal that was overtaken, nor revived by one that comes late", () => {
    const lease = open();
    vi.advanceTimersByTime(10_000);
    lease.renew(9_000);
    lease.renew(5_000);
    vi.advanceTimersByTime(27_999);
    expect(lease.lost.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    lease.renew(37_000);
    expect(lease.lost.aborted).toBe(true);
  });

  it("leaves no timer when the attempt is over", () => {
    const lease = open();
    lease.end();
    expect(vi.getTimerCount()).toBe(0);
  });
});
