import { describe, expect, it, vi } from "vitest";
import type { Job } from "../../shared/api/schemas.ts";
import type { JobChange } from "../../shared/api-client/index.ts";
import { JobListFeed } from "./job-list-feed.ts";
import type { PageView } from "./live.ts";

const page: PageView = { isHidden: () => false, onChange: () => () => undefined, nextFrame: (call) => call() };

/** All that the list looks at. */
function describeJob(number: number): Job {
  return { job: `job-${number}`, createdAt: new Date(number * 1000).toISOString() } as Job;
}

/** Jobs that come one after the other, as soon as somebody follows. */
function createJobs(first: number, last: number) {
  let newest = first;
  const listJobs = vi.fn(async () => ({
    jobs: Array.from({ length: 50 }, (_, index) => describeJob(newest - index)),
    cursor: "older",
  }));
  async function* followJobs(): AsyncGenerator<JobChange> {
    while (newest < last) yield { kind: "job", job: describeJob(++newest) };
  }
  return { listJobs, followJobs };
}

describe("the list of jobs that is left open", () => {
  it("begins again with the newest instead of growing without end", async () => {
    const api = createJobs(50, 1_200);
    const feed = new JobListFeed(api, {}, page);
    let longest = 0;
    const leave = feed.subscribe(() => {
      longest = Math.max(longest, feed.jobs.length);
    });
    await vi.waitFor(() => expect(feed.jobs[0]?.job).toBe("job-1200"));
    expect(longest).toBe(550);
    expect([api.listJobs.mock.calls.length, feed.jobs.length, feed.older]).toEqual([3, 200, "older"]);
    leave();
  });
});
