import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { explainDiskErrors, makeFolder } from "./make-folder.ts";
import { StartError } from "./start-error.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-folder-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const make = (path: string) => explainDiskErrors(path, () => makeFolder(path));

describe("the data folder", () => {
  it("is made with all above it, readable by its owner only, and may be there already", () => {
    const path = join(folder, "a", "b", "c");
    make(path);
    make(path);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    symlinkSync(path, join(folder, "link"));
    make(join(folder, "link", "deeper"));
    expect(readdirSync(path)).toEqual(["deeper"]);
  });

  it.each([
    ["a file", "file", "is a file, not a folder"],
    ["below a file", "file/below", "is a file, not a folder"],
    ["a link to a file", "to-file", "is a file, not a folder"],
    ["a link to nothing", "dangling", "is a link to something that does not exist"],
    ["below a link to nothing", "dangling/below", "is a link to something that does not exist"],
    ["a circle of links", "circle", "cannot be used"],
  ])("is refused where it is %s, in one sentence", (_what, name, problem) => {
    writeFileSync(join(folder, "file"), "");
    symlinkSync("file", join(folder, "to-file"));
    symlinkSync("nowhere/deep", join(folder, "dangling"));
    symlinkSync("circle", join(folder, "circle"));
    const work = () => make(join(folder, name));
    expect(work).toThrow(StartError);
    expect(work).toThrow(problem);
    expect(work).toThrow("--data-dir");
  });

  it.skipIf(process.platform !== "linux")("is refused at once where no folders can be made", () => {
    for (const path of ["/proc/nope", "/proc/nope/deeper", "/sys/nope"]) {
      expect(() => make(path)).toThrow(StartError);
    }
  });

  it("is refused where it may not be written", () => {
    mkdirSync(join(folder, "full"));
    const fail = (code: string) => () => {
      throw Object.assign(new Error(`${code}: no`), { code });
    };
    for (const code of ["EACCES", "EPERM", "EROFS"]) {
      expect(() => explainDiskErrors("/data", fail(code))).toThrow("the data folder /data cannot be written");
    }
    expect(() => explainDiskErrors("/data", fail("ENOSPC"))).toThrow("there is no space left");
    expect(() => explainDiskErrors("/data", fail("EIO"))).toThrow("EIO: no");
  });
});
