import { describe, expect, it } from "vitest";
import { formatMember, type ListedMember, listFolder, parseMembers } from "./artifact-list.ts";

const member = (path: string, size = 1, kind: ListedMember["kind"] = "file"): ListedMember => ({
  ...{ kind, path, size, mode: 0o644, mtimeMs: 5 },
});

describe("the list of an artifact", () => {
  it("is read back as it was written, whatever names are like", () => {
    const members = [member('a\n"b"'), { ...member("l", 0, "link"), target: "../\u202e" }, member("é/\\xff")];
    expect(parseMembers(members.map(formatMember).join(""))).toEqual(members);
  });

  it("shows a folder's children, with what is below those that are folders, members or not", () => {
    const members = [
      member("a", 0, "folder"),
      member("a/x", 2),
      member("a/b/y", 3),
      member("ab", 4),
      member("c/d/z", 5),
    ];
    expect(listFolder(members, "")).toEqual([
      { ...member("a", 0, "folder"), files: 2, bytes: 5 },
      member("ab", 4),
      { kind: "folder", path: "c", size: 0, files: 1, bytes: 5 },
    ]);
    expect(listFolder(members, "a").map(({ path }) => path)).toEqual(["a/x", "a/b"]);
    expect(listFolder(members, "nothing")).toEqual([]);
  });
});
