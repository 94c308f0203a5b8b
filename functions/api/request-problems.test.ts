import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { submitJobSchema } from "../../shared/api/schemas.ts";
import { describeRequestProblems } from "./request-problems.ts";
import { jobParam, pageQuery } from "./route.ts";

function describeSent(schema: z.ZodType, sent: unknown): Record<string, string> {
  const parsed = schema.safeParse(sent);
  const problems = parsed.success ? [] : describeRequestProblems(parsed.error.issues, sent);
  return Object.fromEntries(problems.map(({ path, message }) => [path, message]));
}

const container = { kind: "container", name: "s", image: "busybox", entry: null };
const job = (change: object) => ({ spec: { name: "hello", steps: [container], tasks: [{ name: "a" }], ...change } });

/** Words of the schema library, none of which may reach a user. */
const rawWords = /invalid input|expected|received|too (big|small)|unrecognized|invalid (string|option|key|format)|NaN/i;

describe("what is wrong with a request", () => {
  it("is said in a plain sentence at its place", () => {
    const sent = job({
      name: 7,
      pool: "",
      surprise: 1,
      timeoutMs: 0,
      abort: "maybe",
      steps: [
        { ...container, image: "!", env: { lower: "x", UP: 3 } },
        { kind: "other" },
        { kind: "process", name: "p" },
      ],
      tasks: [{ name: "a", slots: 1.5 }, { name: "a" }, "b", {}],
    });
    expect(describeSent(submitJobSchema, sent)).toMatchObject({
      "spec.name": "must be a text, not 7",
      "spec.pool": expect.stringMatching(/^must not be "";/),
      "spec.timeoutMs": "must be at least 1, not 0",
      "spec.abort": 'must be one of never, on-failure, on-error, not "maybe"',
      "spec.steps[0].image": expect.stringMatching(/^must not be "!"; it must match /),
      "spec.steps[0].env.lower": expect.stringMatching(/^its name is wrong: must not be "lower"; it must match /),
      "spec.steps[0].env.UP": "must be a text, not 3",
      "spec.steps[1].kind": 'must be one of container, process, not "other"',
      "spec.tasks[0].slots": "must be a whole number, not 1.5",
      "spec.tasks[2]": 'must be an object, not "b"',
      "spec.tasks[3].name": "is missing",
      spec: "has keys that are not known: surprise",
    });
    expect(describeSent(submitJobSchema, {})).toEqual({ spec: "is missing" });
    expect(describeSent(submitJobSchema, [])).toEqual({ "": "must be an object, not a list" });
  });

  it("is said of parameters as they were sent", () => {
    expect(describeSent(pageQuery(1000, 200), { limit: "many", cursor: "x".repeat(2001) })).toEqual({
      limit: 'must be a number, not "many"',
      cursor: "has 2001 characters; at most 2000 are allowed",
    });
    expect(describeSent(pageQuery(1000, 200), { limit: "5000" })).toEqual({
      limit: 'must be at most 1000, not "5000"',
    });
    expect(describeSent(jobParam, { job: "" })).toEqual({ job: "must not be empty" });
  });

  it("never holds the words of the schema library", () => {
    const values = [
      null,
      7,
      "",
      "x",
      "NUL\u0000",
      [],
      {},
      true,
      -1,
      1e99,
      { run: 1 },
      { a: { b: 1 } },
      "y".repeat(200_000),
    ];
    const keys = ["name", "pool", "env", "timeoutMs", "retry", "abort", "services", "steps", "tasks", "artifacts"];
    const sents = values.flatMap((value) => [
      ...keys.map((key) => job({ [key]: value })),
      ...["name", "image", "entry", "env", "timeoutMs", "workdir", "kind", "shipped"].map((key) =>
        job({ steps: [{ ...container, [key]: value }] }),
      ),
      ...["name", "slots", "env", "needs", "timeoutMs"].map((key) => job({ tasks: [{ name: "a", [key]: value }] })),
      ...["image", "command", "env", "tmpfs", "health"].map((key) =>
        job({ services: { db: { image: "db", [key]: value } } }),
      ),
      job({ services: { db: { image: "db", health: { check: value } } } }),
      job({ artifacts: { paths: [value] } }),
    ]);
    for (const sent of sents) {
      for (const [path, message] of Object.entries(describeSent(submitJobSchema, sent))) {
        expect({ path, message: message.replaceAll(/"[^"]*"/g, "") }).not.toMatchObject({
          message: expect.stringMatching(rawWords),
        });
        expect(message.length).toBeLessThan(400);
      }
    }
  });
});
