import { describe, expect, it } from "vitest";
import type { AttemptResult, ResultAnswer, ResultAnswers } from "../shared/api/worker-schemas.ts";
import { limits } from "../shared/domain/limits.ts";
import { ControlPlaneError } from "./control-plane-call.ts";
import { ResultReports } from "./result-reports.ts";

type Results = (AttemptResult & { attemptId: string })[];

/** A control plane that answers when the test says so. */
function openReports() {
  const sent: { ids: string[]; answer: (answer: unknown) => void; fail: (error: Error) => void }[] = [];
  const take = <T>(ids: string[]) =>
    new Promise<T>((resolve, reject) => {
      sent.push({ ids, answer: (answer) => resolve(answer as T), fail: reject });
    });
  const reports = new ResultReports({
    sendOne: (attemptId) => take<ResultAnswer>([attemptId]),
    sendMany: (text) =>
      take<ResultAnswers["results"]>((JSON.parse(text) as { results: Results }).results.map((r) => r.attemptId)),
  });
  const report = (attemptId: string, detail = "") => {
    const reason = { code: "drained" as const, detail, fault: "infrastructure" as const };
    return reports.report(attemptId, { leaseToken: "x", result: { kind: "released", reason } }, { deadlineMs: 1000 });
  };
  return { sent, report };
}

const accepted = { status: "accepted" } as const;
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe("result reports", () => {
  it("send a lone result at once, and those that come meanwhile together", async () => {
    const { sent, report } = openReports();
    const first = report("a");
    const others = ["b", "c"].map((id) => report(id));
    expect(sent.map(({ ids }) => ids)).toEqual([["a"]]);
    sent[0]?.answer(accepted);
    expect(await first).toEqual(accepted);
    await settle();
    expect(sent.map(({ ids }) => ids)).toEqual([["a"], ["b", "c"]]);
    sent[1]?.answer([accepted, { status: "lost" }]);
    expect(await Promise.all(others)).toEqual([accepted, { status: "lost" }]);
  });

  it("do not wait for an answer when there are enough for a request, or when it takes too long", async () => {
    const { sent, report } = openReports();
    const all = [report("stuck")];
    for (let i = 0; i < limits.resultsPerCall; i++) all.push(report(`r${i}`));
    expect(sent.map(({ ids }) => ids.length)).toEqual([1, limits.resultsPerCall]);
    all.push(report("late"));
    await expect.poll(() => sent.length).toBe(3);
    expect(sent[2]?.ids).toEqual(["late"]);
    sent[1]?.answer(Array(limits.resultsPerCall).fill(accepted));
    for (const index of [0, 2]) sent[index]?.answer(accepted);
    expect(await Promise.all(all)).toHaveLength(limits.resultsPerCall + 2);
  });

  it("tell one that was not taken from the others, as worth another try", async () => {
    const { sent, report } = openReports();
    const all = ["a", "b", "c"].map((id) => report(id));
    sent[0]?.answer(accepted);
    await settle();
    sent[1]?.answer([{ status: "failed", detail: "the table is away" }, accepted]);
    const [, failed, taken] = await Promise.allSettled(all);
    expect(failed).toMatchObject({ status: "rejected", reason: { message: "the table is away", retryable: true } });
    expect(taken).toEqual({ status: "fulfilled", value: accepted });
  });

  it("are sent one by one where their request is refused as a whole", async () => {
    const { sent, report } = openReports();
    const all = ["a", "b", "c"].map((id) => report(id));
    sent[0]?.answer(accepted);
    await settle();
    sent[1]?.fail(new ControlPlaneError("not valid", { status: 400, retryable: false }));
    await settle();
    expect(sent.slice(2).map(({ ids }) => ids)).toEqual([["b"], ["c"]]);
    sent[2]?.answer(accepted);
    sent[3]?.fail(new ControlPlaneError("not valid", { status: 400, retryable: false }));
    expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
  });

  it("send a result alone that is too large to share a request", async () => {
    const { sent, report } = openReports();
    const all = [report("a"), report("b"), report("large", "x".repeat(2 * 1024 * 1024)), report("c")];
    sent[0]?.answer(accepted);
    await settle();
    expect(sent.slice(1).map(({ ids }) => ids)).toEqual([["b", "c"], ["large"]]);
    sent[1]?.answer([accepted, accepted]);
    sent[2]?.answer(accepted);
    expect(await Promise.all(all)).toHaveLength(4);
  });
});
