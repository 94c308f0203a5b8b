import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const docs = fileURLToPath(new URL("../../docs", import.meta.url));
const bullets = readFileSync(join(docs, "guarantees.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("- "));

/** A link to a test: its title, and the file it stands in, relative to the document. */
const testLink = /\[_(?<title>[^\]]+)_\]\((?<path>[^)]+\.test\.ts)\)/g;

describe("docs/guarantees.md", () => {
  it.each(bullets)("has a test that exists for: %s", (bullet) => {
    const links = [...bullet.matchAll(testLink)].map(({ groups }) => ({ title: "", path: "", ...groups }));
    expect(links).not.toEqual([]);
    const missing = links.filter(({ title, path }) => !readFileSync(resolve(docs, path), "utf8").includes(title));
    expect(missing).toEqual([]);
  });
});
