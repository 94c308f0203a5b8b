import { expect, it } from "vitest";
import { compareNames } from "./name-order.ts";

it("orders names as people count", () => {
  const inOrder = ["2-a", "a", "a-b", "a1", "a1-2", "a1-10", "a02", "a2", "a10", "b", "b-1"];
  expect(inOrder.toReversed().sort(compareNames)).toEqual(inOrder);
  expect(compareNames("a10", "a10")).toBe(0);
});
