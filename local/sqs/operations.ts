import { SqsError } from "./errors.ts";
import { MESSAGE_OPERATIONS } from "./message-operations.ts";
import type { Operation } from "./operation.ts";
import { QUEUE_OPERATIONS } from "./queue-operations.ts";
import { RECEIVE_OPERATIONS } from "./receive-operations.ts";
import { REDRIVE_OPERATIONS } from "./redrive-operations.ts";

const OPERATIONS: ReadonlyMap<string, Operation> = new Map([
  ...Object.entries(QUEUE_OPERATIONS),
  ...Object.entries(MESSAGE_OPERATIONS),
  ...Object.entries(RECEIVE_OPERATIONS),
  ...Object.entries(REDRIVE_OPERATIONS),
]);

/** Finds an operation by name; one that AWS has and this server has not says so. */
export function findOperation(name: string): Operation {
  const operation = OPERATIONS.get(name);
  if (operation !== undefined) return operation;
  throw new SqsError("UnsupportedOperation", `The operation ${name} is not implemented by the embedded SQS server.`);
}
