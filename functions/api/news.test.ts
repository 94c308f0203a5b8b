import { describe, expect, it } from "vitest";
import { createNews } from "./news.ts";

describe("news", () => {
  it("is what was not told or has changed, by its name", () => {
    const news = createNews(() => 0);
    expect(news.isNew("a", { n: 1 })).toBe(true);
    expect(news.isNew("b", { n: 1 })).toBe(true);
    expect(news.isNew("a", { n: 1 })).toBe(false);
    expect(news.isNew("a", { n: 2 })).toBe(true);
    expect(news.isNew("a", { n: 1 })).toBe(true);
    news.drop("a");
    expect(news.names()).toEqual(["b"]);
    expect(news.isNew("a", { n: 1 })).toBe(true);
  });

  it("of when something was seen, and nothing else, is told every 15 seconds at most", () => {
    let nowMs = 0;
    const news = createNews(() => nowMs);
    const seen = (at: number, n = 1) => ({ pools: [{ n, lastSeenAt: `${at}` }] });
    expect(news.isNew("a", seen(0))).toBe(true);
    nowMs = 14_999;
    expect(news.isNew("a", seen(1))).toBe(false);
    expect(news.isNew("a", seen(1, 2))).toBe(true);
    nowMs += 15_000;
    expect(news.isNew("a", seen(1, 2))).toBe(false);
    expect(news.isNew("a", seen(2, 2))).toBe(true);
  });
});
