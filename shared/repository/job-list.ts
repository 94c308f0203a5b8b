import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import { jobIdPattern, jobUlid, ulidStart } from "../domain/ids.ts";
import { decodeCursor, encodeCursor } from "./cursors.ts";
import type { JobDigest } from "./items.ts";
import { digestKey, type ItemKey, jobListEntry } from "./keys.ts";
import { getItems, type Table } from "./table.ts";

/** What to list: all jobs, or those that match. Of others than those submitted in `[sinceMs, untilMs)` nothing is read. */
export interface JobListPage {
  limit: number;
  cursor?: string | undefined;
  sinceMs?: number | undefined;
  untilMs?: number | undefined;
  matches?: ((job: JobDigest) => boolean) | undefined;
}

/** With a filter most jobs may be read in vain: so many at once, and so many times for one page at most. */
const filteredRead = 100;
const filteredReads = 10;

/** One page of jobs, newest first. With a filter it may be short though more follow. */
export async function listJobs(
  table: Table,
  { limit, cursor, matches, sinceMs = 0, untilMs = Number.POSITIVE_INFINITY }: JobListPage,
): Promise<{ jobs: JobDigest[]; cursor?: string }> {
  const jobs: JobDigest[] = [];
  let after = decodeCursor("jobs", cursor, ([jobId]) =>
    typeof jobId === "string" && jobIdPattern.test(jobId) ? jobId : undefined,
  );
  const span: JobSpan = {
    from: ulidStart(sinceMs),
    to: untilMs === Number.POSITIVE_INFINITY ? "~" : ulidStart(untilMs),
  };
  // A cursor of another span: the table refuses a start beyond the bounds of what is asked for.
  if (after !== undefined && jobUlid(after) > span.to) after = undefined;
  if (span.from >= span.to || (after !== undefined && jobUlid(after) < span.from)) return { jobs };
  for (let reads = 0; reads < filteredReads; reads++) {
    const room = limit - jobs.length;
    const read = await readJobs(table, span, after, matches ? Math.max(room, filteredRead) : room);
    const found = read.jobs.filter((job) => matches?.(job) ?? true);
    jobs.push(...found.slice(0, room));
    after = found.length > room ? jobs.at(-1)?.jobId : read.after;
    if (after === undefined) return { jobs };
    if (jobs.length >= limit) break;
  }
  return after === undefined ? { jobs } : { jobs, cursor: encodeCursor("jobs", [after]) };
}

/** Bounds of the ulids of jobs, themselves none. */
interface JobSpan {
  from: string;
  to: string;
}

async function readJobs(
  table: Table,
  { from, to }: JobSpan,
  after: string | undefined,
  limit: number,
): Promise<{ jobs: JobDigest[]; after?: string }> {
  const answer = await table.client.send(
    new QueryCommand({
      TableName: table.name,
      IndexName: "byList",
      KeyConditionExpression: "listPk = :pk AND listSk BETWEEN :from AND :to",
      ExpressionAttributeValues: { ":pk": "JOBS", ":from": from, ":to": to },
      ScanIndexForward: false,
      Limit: limit,
      ...(after === undefined ? {} : { ExclusiveStartKey: { ...digestKey(after), ...jobListEntry(after) } }),
    }),
  );
  const keys = (answer.Items ?? []).map((item): ItemKey => ({ pk: String(item.pk), sk: String(item.sk) }));
  const digests = (await getItems(table, keys)) as unknown as JobDigest[];
  const byPk = new Map(digests.map((digest) => [digestKey(digest.jobId).pk, digest]));
  const jobs = keys.flatMap((key) => byPk.get(key.pk) ?? []);
  const last = answer.LastEvaluatedKey?.pk;
  return last === undefined ? { jobs } : { jobs, after: String(last).slice("JOB#".length) };
}
