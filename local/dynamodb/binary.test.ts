import { describe, expect, it } from "vitest";
import { findDynoxideBinary } from "./binary.ts";

describe("findDynoxideBinary", () => {
  it("finds the binary in the installed package of this platform", () => {
    const path = findDynoxideBinary({
      platform: "darwin",
      arch: "arm64",
      findPackageDir: (name) => `/packages/${name}`,
    });
    expect(path).toBe("/packages/@dynoxide/darwin-arm64/dynoxide");
  });

  it("names the one command that installs the package where it is missing", () => {
    const find = () => findDynoxideBinary({ platform: "linux", arch: "arm64", findPackageDir: () => undefined });
    expect(find).toThrow("run npm install --no-save @dynoxide/linux-arm64@1.2.1");
  });

  it("asks for a binary by name on a platform without a package", () => {
    expect(() => findDynoxideBinary({ platform: "freebsd", arch: "x64" })).toThrow("not published for freebsd-x64");
  });

  it("takes a binary that is named and says so when it does not exist", () => {
    expect(findDynoxideBinary({ binaryPath: process.execPath, platform: "freebsd" })).toBe(process.execPath);
    expect(() => findDynoxideBinary({ binaryPath: "/nowhere/dynoxide" })).toThrow(
      "SLUICE_DYNOXIDE names /nowhere/dynoxide",
    );
  });
});
