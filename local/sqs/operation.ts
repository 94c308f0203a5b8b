import type { MessageDesk } from "./message-desk.ts";
import type { MoveTasks } from "./move-tasks.ts";
import type { ClientConnection } from "./poll-line.ts";
import type { Delivery } from "./queue.ts";
import type { QueueRegistry } from "./queue-registry.ts";
import type { Fields } from "./request-fields.ts";

/** What the operations work on. */
export type OperationContext = {
  readonly registry: QueueRegistry;
  readonly desk: MessageDesk;
  readonly moveTasks: MoveTasks;
  readonly now: () => number;
  /** The address that queue URLs begin with, and the identity that messages are said to come from. */
  readonly baseUrl: string;
  readonly accountId: string;
  readonly senderId: string;
};

/** An answer: nothing, or a JSON object. A delivery comes along so that it can be given back if it cannot be sent. */
export type OperationAnswer = {
  readonly body?: Readonly<Record<string, unknown>>;
  readonly delivery?: { readonly queueName: string; readonly delivery: Delivery };
};

/**
 * One operation of the protocol. It changes state before it returns; only a receive that waits for messages answers
 * later.
 */
export type Operation = (
  context: OperationContext,
  fields: Fields,
  client: ClientConnection,
) => OperationAnswer | Promise<OperationAnswer>;
