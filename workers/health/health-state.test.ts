import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  advanceHealth,
  type Health,
  type HealthEvent,
  type HealthProblem,
  planHealthTimes,
  startHealth,
  takesTasks,
} from "./health-state.ts";

const times = planHealthTimes(30_000);
const problem: HealthProblem = { what: "docker", detail: "Docker hangs" };
const failed: HealthEvent = { kind: "failed", problem, passing: false };
const passed: HealthEvent = { kind: "passed" };

/** A machine in time: events come when the next step is due, or as long before that as told. */
class Patient {
  nowMs = 0;
  health: Health = startHealth(0);

  /** The next step is taken and comes out like this. */
  take(event: HealthEvent): this {
    this.nowMs = this.health.next.atMs;
    return this.hear(event);
  }

  hear(event: HealthEvent): this {
    this.health = advanceHealth(this.health, event, { nowMs: this.nowMs, random: 0.5, times });
    return this;
  }

  get told(): string {
    const { state, attempt, next } = this.health;
    return `${state}${attempt > 0 ? ` ${attempt}` : ""}, ${next.step} in ${(next.atMs - this.nowMs) / 1000} s`;
  }
}

describe("advanceHealth", () => {
  it("looks every 30 s at what is well, beginning at once", () => {
    const patient = new Patient();
    expect(patient.told).toBe("healthy, probe in 0 s");
    expect(patient.take(passed).told).toBe("healthy, probe in 30 s");
  });

  it("tries three times with 5, 10 and 20 s, then looks every 5 minutes", () => {
    const patient = new Patient().take(failed);
    expect(patient.told).toBe("recovering 1, recover in 5 s");
    expect(patient.take(failed).told).toBe("recovering 2, recover in 10 s");
    expect(patient.take(failed).told).toBe("recovering 3, recover in 20 s");
    expect(patient.take(failed).told).toBe("recovery_failed, probe in 300 s");
    expect(patient.health.problem).toEqual(problem);
    expect(patient.take(failed).told).toBe("recovery_failed, probe in 300 s");
  });

  it("has recovered only when it is still well 2 s later, and is healthy with the next look", () => {
    const patient = new Patient().take(failed).take(passed);
    expect(patient.told).toBe("recovering 1, verify in 2 s");
    expect(patient.take(failed).told).toBe("recovering 2, recover in 10 s");
    expect(patient.take(passed).take(passed).told).toBe("recovered, probe in 30 s");
    expect(patient.take(passed).told).toBe("healthy, probe in 30 s");
  });

  it("comes back from a failed recovery by two good looks", () => {
    const patient = new Patient().take(failed).take(failed).take(failed).take(failed);
    expect(patient.take(passed).told).toBe("recovery_failed, verify in 2 s");
    expect(patient.take(failed).told).toBe("recovery_failed, probe in 300 s");
    expect(patient.take(passed).take(passed).told).toBe("recovered, probe in 30 s");
  });

  it("stops what recovers again and again: three recoveries in 15 minutes are all there are", () => {
    const patient = new Patient();
    for (let round = 0; round < 3; round++) {
      expect(patient.take(failed).told).toBe("recovering 1, recover in 5 s");
      patient.take(passed).take(passed);
    }
    expect(patient.take(failed).told).toBe("recovery_failed, probe in 300 s");
    expect(patient.health.problem?.detail).toContain("recovered 3 times lately");
    // Back after a slow look; the next fall is still one too many, until the first ones are 15 minutes old.
    patient.take(passed).take(passed);
    expect(patient.take(failed).told).toBe("recovery_failed, probe in 300 s");
    patient.nowMs += 15 * 60_000;
    patient.health = { ...patient.health, state: "healthy" };
    expect(patient.hear(failed).told).toBe("recovering 1, recover in 5 s");
  });

  it("takes the word of others for an illness, once, and their hint for a reason to look now", () => {
    const patient = new Patient().take(passed);
    patient.hear({ kind: "suspected", problem });
    expect(patient.told).toBe("recovering 1, recover in 5 s");
    expect(patient.hear({ kind: "suspected", problem }).told).toBe("recovering 1, recover in 5 s");
    expect(patient.hear({ kind: "hinted" }).told).toBe("recovering 1, recover in 0 s");
    expect(patient.take(passed).told).toBe("recovering 1, verify in 2 s");
    expect(patient.hear({ kind: "hinted" }).told).toBe("recovering 1, verify in 2 s");
    expect(patient.hear({ kind: "suspected", problem }).told).toBe("recovering 2, recover in 10 s");
  });

  it("follows no hint once the recoveries are used up, for what comes and goes gives many", () => {
    const patient = new Patient();
    for (let round = 0; round < 3; round++) patient.take(failed).take(passed).take(passed);
    patient.take(failed);
    expect(patient.hear({ kind: "hinted" }).told).toBe("recovery_failed, probe in 300 s");
  });

  it("spends no attempt on what the tasks that run may give back", () => {
    const full: HealthEvent = { kind: "failed", problem: { what: "disk", detail: "full" }, passing: true };
    const patient = new Patient().take(full);
    for (let look = 0; look < 20; look++) expect(patient.take(full).told).toBe("recovering 1, recover in 5 s");
    expect(patient.take({ ...full, passing: false }).told).toBe("recovering 2, recover in 10 s");
  });

  it("takes tasks only where the last two looks were good, and always looks again, whatever happens", () => {
    const kind = fc.constantFrom<HealthEvent>(
      passed,
      failed,
      { ...failed, passing: true },
      { kind: "suspected", problem },
      { kind: "hinted" },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(kind, fc.nat(60_000)), { maxLength: 60 }), (events) => {
        const patient = new Patient();
        let good = 2;
        for (const [event, waitMs] of events) {
          patient.nowMs += waitMs;
          patient.hear(event);
          good = event.kind === "passed" ? good + 1 : event.kind === "hinted" ? good : 0;
          if (takesTasks(patient.health)) expect(good).toBeGreaterThanOrEqual(2);
          expect(patient.health.next.atMs).toBeLessThanOrEqual(patient.nowMs + times.slowProbeMs);
          const recent = patient.health.recoveriesMs.filter((ms) => patient.nowMs - ms < times.windowMs);
          expect(recent.length).toBeLessThanOrEqual(times.maxRecoveries);
        }
      }),
    );
  });
});
