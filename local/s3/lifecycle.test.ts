import { describe, expect, test } from "vitest";
import { findAbort, findExpiry, type LifecycleRule } from "./lifecycle.ts";

const rule: LifecycleRule = { ruleId: "r", isEnabled: true, isOldForm: false, prefix: "logs/", tags: [] };
const object = { key: "logs/a", sizeBytes: 10, modifiedMs: Date.parse("2014-01-15T10:30:00Z"), tags: [] };
const iso = (timeMs: number | undefined) => timeMs && new Date(timeMs).toISOString();

describe("findExpiry", () => {
  test("counts days and rounds up to midnight, as in the example of the S3 user guide", () => {
    expect(iso(findExpiry({ ...rule, expireDays: 3 }, object))).toBe("2014-01-19T00:00:00.000Z");
  });

  test("takes a date as it is", () => {
    const expireAtMs = Date.parse("2014-02-01T00:00:00Z");
    expect(findExpiry({ ...rule, expireAtMs }, object)).toBe(expireAtMs);
  });

  test.each<[string, Partial<LifecycleRule>]>([
    ["another prefix", { prefix: "other/" }],
    ["a rule that is off", { isEnabled: false }],
    ["a tag the object lacks", { tags: [{ key: "a", value: "1" }] }],
    ["objects that are larger", { sizeAboveBytes: 10 }],
    ["objects that are smaller", { sizeBelowBytes: 10 }],
  ])("leaves an object alone with %s", (_what, changed) => {
    expect(findExpiry({ ...rule, expireDays: 3, ...changed }, object)).toBeUndefined();
  });

  test("leaves objects alone where only uploads are to be aborted", () => {
    expect(findExpiry({ ...rule, abortDays: 1 }, object)).toBeUndefined();
  });
});

describe("findAbort", () => {
  test("counts days from the beginning of the upload", () => {
    const upload = { key: "logs/a", startedMs: object.modifiedMs };
    expect(iso(findAbort({ ...rule, abortDays: 1 }, upload))).toBe("2014-01-17T00:00:00.000Z");
    expect(findAbort({ ...rule, expireDays: 1 }, upload)).toBeUndefined();
    expect(findAbort({ ...rule, abortDays: 1 }, { ...upload, key: "other" })).toBeUndefined();
  });
});
