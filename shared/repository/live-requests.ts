import type { LiveRequest } from "../domain/live-artifact.ts";
import type { TaskItem } from "./items.ts";
import { taskKey } from "./keys.ts";
import { type Table, updateItem } from "./table.ts";

/**
 * Notes on a running task that somebody wants what it has written so far. Refused where the task has ended or begun
 * another attempt, or somebody else has asked since it was read; answers the task as it is then, if it exists.
 */
export async function requestLive(
  table: Table,
  { jobId, bucket, task, live }: TaskItem,
  request: LiveRequest,
): Promise<{ noted: boolean; task?: TaskItem }> {
  const seen = live === undefined ? "attribute_not_exists(#live)" : "#live.#id = :seen";
  const outcome = await updateItem(table, {
    Key: taskKey(jobId, bucket, task),
    UpdateExpression: "SET #live = :live",
    ConditionExpression: `#state = :running AND attempt = :attempt AND ${seen}`,
    ExpressionAttributeNames: { "#state": "state", "#live": "live", ...(live === undefined ? {} : { "#id": "id" }) },
    ExpressionAttributeValues: {
      ":running": "running",
      ":attempt": request.attempt,
      ":live": request,
      ...(live === undefined ? {} : { ":seen": live.id }),
    },
  });
  const item = outcome.item as TaskItem | undefined;
  // A write whose answer got lost is sent again and finds its own request.
  return { noted: outcome.ok || item?.live?.id === request.id, ...(item ? { task: item } : {}) };
}
