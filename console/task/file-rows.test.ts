import { describe, expect, it } from "vitest";
import type { ArtifactFile } from "../../shared/api/artifact-schemas.ts";
import { formatMode, listFoundRows, listTreeRows, showName } from "./file-rows.ts";

const file = (path: string): ArtifactFile => ({ path, kind: "file", size: 1 });
const folder = (path: string): ArtifactFile => ({ path, kind: "folder", size: 0, files: 2, bytes: 2 });

describe("the list of an artifact", () => {
  it("is a tree as far as it is open, with what is being read and what more there is", () => {
    const known = new Map([
      ["", { files: [folder("a"), folder("b"), file("c")], hasMore: false }],
      ["a", { files: [file("a/x")], hasMore: true }],
    ]);
    const rows = listTreeRows(known, new Set(["a", "b", "gone"]));
    expect(rows.map((row) => [row.kind, row.level, row.kind === "entry" ? row.name : row.folder])).toEqual([
      ["entry", 0, "a"],
      ["entry", 1, "x"],
      ["more", 1, "a"],
      ["entry", 0, "b"],
      ["reading", 1, "b"],
      ["entry", 0, "c"],
    ]);
    expect(listTreeRows(new Map(), new Set()).map(({ kind }) => kind)).toEqual(["reading"]);
  });

  it("is whole paths of what was found", () => {
    expect(listFoundRows({ files: [file("a/x")], hasMore: true })).toMatchObject([{ name: "a/x" }, { kind: "more" }]);
  });

  it("shows names as one line, and modes as ls does", () => {
    expect(showName("a\nb\u202egpj.exe")).toBe("a·b·gpj.exe");
    expect([formatMode(0o755), formatMode(0o640)]).toEqual(["rwxr-xr-x", "rw-r-----"]);
  });
});
