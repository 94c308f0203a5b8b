import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { modelCosts, renderCosts } from "../../shared/domain/cost/cost-model.ts";
import { measuredRequests } from "../../shared/domain/cost/measured.ts";
import { prices } from "../../shared/domain/cost/prices.ts";

const text = readFileSync(new URL("../../docs/cost.md", import.meta.url), "utf8");
/** Tables as they are whatever the formatter makes of their spaces. */
const plain = (markdown: string) => markdown.replaceAll(/ *\| */g, "|").replaceAll(/-{3,}(:?)/g, "---$1");

describe("docs/cost.md", () => {
  it("says what the cost model computes", () => {
    for (const table of renderCosts(modelCosts(measuredRequests)).split("\n\n")) {
      expect(plain(text)).toContain(plain(table));
    }
  });

  it("says where counts and prices are from", () => {
    expect(text).toContain(measuredRequests.measuredOn);
    expect(text).toContain(prices.asOf);
    for (const count of Object.values(measuredRequests.perTask)) expect(plain(text)).toContain(`|${count}|`);
  });

  it("keeps an idle month below the aim of one dollar", () => {
    expect(modelCosts(measuredRequests).idleMonth.usd).toBeLessThan(1);
  });
});
