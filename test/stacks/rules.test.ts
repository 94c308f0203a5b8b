import { describe, expect, it } from "vitest";
import { findViolations, rules } from "../../scripts/plan/rules.ts";
import { functionMistakes } from "./mistakes/functions.ts";
import { messageMistakes } from "./mistakes/messages.ts";
import { storageMistakes } from "./mistakes/storage.ts";
import { workerMistakes } from "./mistakes/workers.ts";
import { readPlans } from "./support/plans.ts";

const { production, personal } = await readPlans();

const planted = { ...messageMistakes, ...storageMistakes, ...functionMistakes, ...workerMistakes };
const mistakes = Object.entries(planted).flatMap(([rule, plants]) =>
  Object.entries(plants).map(([mistake, plant]) => ({ rule, mistake, plant })),
);

describe("the plan", () => {
  it.each([
    ["a stage that keeps its data", production],
    ["somebody's own, with tracing", personal],
  ])("of %s holds every rule", (_, plan) => {
    expect(findViolations(plan)).toEqual([]);
  });

  it.each(mistakes)("is refused with $mistake", ({ rule, plant }) => {
    const plan = structuredClone(production);
    plant(plan);
    expect(findViolations(plan).map((violation) => violation.rule)).toContain(rule);
  });

  it("has a planted mistake for every rule", () => {
    expect(rules.map(({ name }) => name).filter((name) => !(name in planted))).toEqual([]);
  });
});
