import { AsyncLocalStorage } from "node:async_hooks";
import type { Context } from "aws-lambda";

const calls = new AsyncLocalStorage<{ awsRequestId: string }>();

/** Runs one call of a function; every line logged meanwhile says which call it was. */
export function runCall<T>({ awsRequestId }: Pick<Context, "awsRequestId">, work: () => T): T {
  return calls.run({ awsRequestId }, work);
}

/** What a log line says of the call it belongs to; nothing outside of one. */
export function describeCall(): { awsRequestId?: string } {
  return calls.getStore() ?? {};
}
