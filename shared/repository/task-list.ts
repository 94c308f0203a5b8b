import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import type { TaskState } from "../domain/task-state.ts";
import { jobRules } from "../jobfile/rules.ts";
import { decodeCursor, encodeCursor } from "./cursors.ts";
import type { TaskItem } from "./items.ts";
import { taskKey, taskPartition } from "./keys.ts";
import type { Table } from "./table.ts";

/** What to list: all tasks of a job, or those in one state. */
export interface TaskListPage {
  limit: number;
  cursor?: string | undefined;
  state?: TaskState;
}

/** What of each task to read: less is faster to read and to answer, though the table charges for all of it. */
export type TaskAttribute = Extract<keyof TaskItem, string>;

/** Where a list goes on: in a bucket, after a task (or at its beginning). */
interface TaskPlace {
  bucket: number;
  after?: string;
}

/** With a filter the table reads more items than it returns: so many at once, and so many times for one page at most. */
const filteredRead = 500;
const filteredReads = 40;

/**
 * One page of a job's tasks, bucket by bucket and by name within each. With a filter it may be short though more follow.
 * Where attributes are named, tasks have no others.
 */
export async function listTasks(
  table: Table,
  job: { jobId: string; bucketCount: number },
  { limit, cursor, state }: TaskListPage,
  attributes?: readonly TaskAttribute[],
): Promise<{ tasks: TaskItem[]; cursor?: string }> {
  const list = `tasks ${job.jobId}`;
  let place = decodeCursor(list, cursor, (parts) => readPlace(parts, job.bucketCount)) ?? { bucket: 0 };
  const tasks: TaskItem[] = [];
  for (let reads = 0; place.bucket < job.bucketCount; reads++) {
    if (tasks.length >= limit || (state && reads >= filteredReads)) {
      return { tasks, cursor: encodeCursor(list, [place.bucket, place.after ?? ""]) };
    }
    const read = await readBucket(table, job.jobId, place, { limit: limit - tasks.length, state, attributes });
    tasks.push(...read.tasks);
    place = read.after === undefined ? { bucket: place.bucket + 1 } : { bucket: place.bucket, after: read.after };
  }
  return { tasks };
}

async function readBucket(
  table: Table,
  jobId: string,
  place: TaskPlace,
  {
    limit,
    state,
    attributes,
  }: { limit: number; state: TaskState | undefined; attributes: readonly TaskAttribute[] | undefined },
): Promise<{ tasks: TaskItem[]; after?: string }> {
  const answer = await table.client.send(
    new QueryCommand({
      TableName: table.name,
      KeyConditionExpression: "pk = :pk",
      ExpressionAttributeValues: {
        ":pk": taskPartition(jobId, place.bucket),
        ...(state ? { ":state": state } : {}),
      },
      ...(state ? { FilterExpression: "#state = :state" } : {}),
      ...(attributes ? { ProjectionExpression: attributes.map((name) => `#${name}`).join(",") } : {}),
      ...nameAttributes(state, attributes),
      Limit: state ? Math.max(limit, filteredRead) : limit,
      ConsistentRead: true,
      ...(place.after === undefined ? {} : { ExclusiveStartKey: taskKey(jobId, place.bucket, place.after) }),
    }),
  );
  const found = (answer.Items ?? []) as unknown as TaskItem[];
  const tasks = found.slice(0, limit);
  const last = found.length > limit ? tasks.at(-1)?.task : answer.LastEvaluatedKey?.sk;
  return last === undefined ? { tasks } : { tasks, after: String(last) };
}

/** Any name may be one of the many words that the table keeps for itself. */
function nameAttributes(state: TaskState | undefined, attributes: readonly TaskAttribute[] = []) {
  const names = [...attributes, ...(state ? (["state"] as const) : [])];
  return names.length === 0
    ? {}
    : { ExpressionAttributeNames: Object.fromEntries(names.map((name) => [`#${name}`, name])) };
}

function readPlace([bucket, after]: readonly unknown[], bucketCount: number): TaskPlace | undefined {
  if (typeof bucket !== "number" || !Number.isInteger(bucket) || bucket < 0 || bucket >= bucketCount) return undefined;
  if (after === "") return { bucket };
  return typeof after === "string" && jobRules.taskName.pattern.test(after) ? { bucket, after } : undefined;
}
