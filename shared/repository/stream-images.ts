import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { unmarshall } from "@aws-sdk/util-dynamodb";
import type { TaskItem } from "./items.ts";

/** The task inside the new image of a stream record; undefined where the record is of another kind of item. */
export function readTaskImage(newImage: object | undefined): TaskItem | undefined {
  if (newImage === undefined) return undefined;
  const item = unmarshall(newImage as Record<string, AttributeValue>);
  return item.type === "task" ? (item as unknown as TaskItem) : undefined;
}
