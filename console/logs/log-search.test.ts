import { describe, expect, it } from "vitest";
import { ApiError, ConnectionError } from "../../shared/api-client/index.ts";
import { createFinder } from "./find-text.ts";
import { extendLink, formatLink, parseLink } from "./log-link.ts";
import type { LogSection } from "./log-model.ts";
import { searchLogs } from "./log-search.ts";

const place = { job: "job", task: "task", attempt: 1 };

function section(step: number, lines: number): LogSection {
  return { key: String(step), title: "", choice: { step }, lines, folded: false, notes: [] };
}

/** An API that has these logs, and fails as it is told before it answers. */
function serve(logs: readonly string[], failures: Error[] = []) {
  return {
    readLogBytes: async (_job: string, _task: string, { step = 1 }: { step?: number | undefined }, range: string) => {
      const failure = failures.shift();
      if (failure) throw failure;
      const bytes = new TextEncoder().encode(logs[step - 1]);
      const [first = 0, last = 0] = range.split("-").map(Number);
      const part = bytes.slice(first, Math.min(last + 1, bytes.length));
      return new Response(part, {
        status: 206,
        headers: { "content-range": `bytes ${first}-${first + part.length - 1}/${bytes.length}` },
      });
    },
  };
}

async function search(api: ReturnType<typeof serve>, typed: string, sections: LogSection[]) {
  const finder = createFinder(typed);
  if (!finder) throw new Error("nothing to look for");
  let last: { matches: readonly unknown[]; searched: ReadonlyMap<string, number>; more: boolean } | undefined;
  for await (const found of searchLogs(api, place, sections, finder, new AbortController().signal)) last = found;
  return { matches: last?.matches, searched: [...(last?.searched ?? [])], more: last?.more };
}

describe("a search through logs", () => {
  it("finds what is seen, across colours and without regard to case, in each log", async () => {
    const first = "nothing\n\u001b[31mBuild\u001b[0m failed\nfailed build\rok\nand [31m is no colour\n";
    const api = serve([first, "the end: build failed"]);
    const sections = [section(1, 4), section(2, 1)];
    expect(await search(api, "build FAILED", sections)).toEqual({
      matches: [
        { key: "1", line: 1 },
        { key: "2", line: 0 },
      ],
      searched: [
        ["1", 4],
        ["2", 1],
      ],
      more: false,
    });
    expect((await search(api, "[31m", sections)).matches).toEqual([{ key: "1", line: 3 }]);
  });

  it("reads a log of many ranges once, with characters that are cut, and lists only so many lines", async () => {
    const lines = Array.from({ length: 200_000 }, (_, index) => `zeile ${index} größe ${"ä".repeat(20)}`);
    const api = serve([`${lines.join("\n")}\n`]);
    expect((await search(api, "199999 größe ä", [section(1, 200_000)])).matches).toEqual([{ key: "1", line: 199_999 }]);
    const { matches, more } = await search(api, "größe", [section(1, 200_000)]);
    expect([matches?.length, more]).toEqual([10_000, true]);
  });

  it("outlives a loss of contact, and tells what it is refused", async () => {
    const lost = new ConnectionError("reset", "http://x", "reset");
    expect((await search(serve(["a b"], [lost]), "b", [section(1, 1)])).matches).toHaveLength(1);
    const refused = new ApiError({ status: 404, code: "not_found", detail: "gone" });
    await expect(search(serve(["a"], [refused]), "a", [section(1, 1)])).rejects.toThrow("gone");
  });
});

describe("a text that is looked for", () => {
  it("is taken letter by letter, at places that hold where case changes the length", () => {
    expect(createFinder("a.b(*)")?.places("xa.b(*)", 9)).toEqual([[1, 7]]);
    expect(createFinder("x")?.places("İİx X", 9)).toEqual([
      [2, 3],
      [4, 5],
    ]);
    expect(createFinder("  ")).toBeUndefined();
  });
});

describe("a link to lines", () => {
  it.each(["1:42", "service.1:4-9", "service.my_db-2:1"])("%s is read as it is written", (link) => {
    const lines = parseLink(link);
    expect(lines && formatLink(lines)).toBe(link);
  });

  it.each(["", "1", "1:0", "1:x", "<b>:1", "1:2-"])("%j is none", (link) => {
    expect(parseLink(link)).toBeUndefined();
  });

  it("is extended within its log only", () => {
    const linked = parseLink("1:5");
    expect(formatLink(extendLink(linked, "1", 1, true))).toBe("1:2-5");
    expect(formatLink(extendLink(linked, "2", 1, true))).toBe("2:2");
    expect(formatLink(extendLink(linked, "1", 7, false))).toBe("1:8");
  });
});
