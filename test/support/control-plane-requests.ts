/** One request to AWS as the product's code makes it; the SDK's own retries are not counted apart. */
export interface CloudRequest {
  service: "dynamodb" | "sqs" | "s3";
  /** Name of the operation, e.g. `TransactWriteItems`. */
  operation: string;
  /** Whether it may change something. */
  writes: boolean;
  input: Record<string, unknown>;
}

/** Stands between the product and the cloud: may send, not send, or send and then throw. */
export type Interceptor = (request: CloudRequest, send: () => Promise<unknown>) => Promise<unknown>;

/** Counts requests by kind and lets a test stand in their way. */
export interface RequestRecorder {
  /** Number of requests by `service.Operation` since the last `reset`. */
  counts(): Record<string, number>;
  total(): number;
  reset(): void;
  /** All later requests go through the interceptor; undefined takes it away. */
  intercept(interceptor: Interceptor | undefined): void;
  watch(service: CloudRequest["service"], client: WatchableClient): void;
}

/** What the clients of the AWS SDK have in common here. */
interface WatchableClient {
  middlewareStack: unknown;
}

interface MiddlewareStack {
  add(
    middleware: (
      next: (args: { input: Record<string, unknown> }) => Promise<unknown>,
      context: { commandName?: string },
    ) => (args: { input: Record<string, unknown> }) => Promise<unknown>,
    options: { step: "initialize"; name: string },
  ): void;
}

const reads = /^(Get|BatchGet|Query|Scan|Head|List|Describe|Receive)/;

export function createRequestRecorder(): RequestRecorder {
  const counted = new Map<string, number>();
  let interceptor: Interceptor | undefined;
  return {
    counts: () => Object.fromEntries([...counted].sort(([a], [b]) => (a < b ? -1 : 1))),
    total: () => [...counted.values()].reduce((sum, count) => sum + count, 0),
    reset: () => counted.clear(),
    intercept: (next) => {
      interceptor = next;
    },
    watch(service, client) {
      const stack = client.middlewareStack as MiddlewareStack;
      stack.add(
        (next, context) => async (args) => {
          const operation = (context.commandName ?? "").replace(/Command$/, "");
          const request = { service, operation, writes: !reads.test(operation), input: args.input };
          const kind = `${service}.${operation}`;
          counted.set(kind, (counted.get(kind) ?? 0) + 1);
          const send = () => next(args);
          return interceptor ? interceptor(request, send) : send();
        },
        { step: "initialize", name: "recordRequest" },
      );
    },
  };
}
