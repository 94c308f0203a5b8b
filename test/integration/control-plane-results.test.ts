import { describe, expect, it } from "vitest";
import type { ClaimedTask, Task } from "../../shared/api/schemas.ts";
import { formatAttemptId } from "../../shared/domain/ids.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed } from "../support/control-plane-worker.ts";

const plane = useControlPlane();

const readTask = ({ jobId, task }: Pick<ClaimedTask, "jobId" | "task">) =>
  plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);

describe("a report of a result", () => {
  it("is refused as lost where the attempt number is not the lease's, and changes nothing", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const { leaseToken } = await worker.claimOne();
    for (const attempt of [2, 7]) {
      const attemptId = formatAttemptId({ jobId, bucket: 0, task: "a", attempt });
      expect(await worker.report({ attemptId, leaseToken }, completed())).toEqual({ status: "lost" });
    }
    expect(await readTask({ jobId, task: "a" })).toMatchObject({ status: "running", attempts: [{ attempt: 1 }] });
  });
});
