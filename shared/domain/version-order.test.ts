import { describe, expect, it } from "vitest";
import { isOlderVersion, isVersion } from "./version-order.ts";

describe("versions", () => {
  it.each([
    ["1.4.0", "1.4.0", false],
    ["1.3.9", "1.4.0", true],
    ["1.10.0", "1.9.0", false],
    ["0.9.9", "1.0.0", true],
    ["1.4.0-rc.1", "1.4.0", true],
    ["1.4.0", "1.4.0-rc.1", false],
    ["1.4.0-rc.2", "1.4.0-rc.10", true],
    ["unknown", "1.4.0", false],
    ["1.4.0", "", false],
  ])("%s is older than %s: %s", (version, than, expected) => {
    expect(isOlderVersion(version, than)).toBe(expected);
  });

  it("have three numbers", () => {
    expect(["1.4.0", "1.4.0-rc.1", "1.4", "v1.4.0", "1.4.0 "].map(isVersion)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
