import type { SQSClientConfig } from "@aws-sdk/client-sqs";

/**
 * Options every AWS client of Sluice is made with. Endpoint, region and credentials come from the environment as the
 * SDK reads it (`AWS_ENDPOINT_URL_SQS` and the like), so that no code knows where it runs.
 */
export const awsClientOptions = {
  maxAttempts: 5,
  retryMode: "standard",
  // A connection on which nothing moves is dead. Longer than the longest wait of a receive call (20 s).
  requestHandler: { connectionTimeout: 5_000, socketTimeout: 60_000 },
} as const satisfies SQSClientConfig;

/** The options of a client. */
export type AwsClientOptions = Pick<SQSClientConfig, keyof typeof awsClientOptions>;

/**
 * Options for clients of functions: none of their calls waits on purpose, and their callers do not wait long. All tries
 * of one call end before a caller of the API gives up (30 s).
 */
export const functionAwsOptions = {
  ...awsClientOptions,
  requestHandler: { connectionTimeout: 2_000, socketTimeout: 5_000 },
} as const satisfies AwsClientOptions;

/**
 * Takes the logging middleware out of a client: for every call it copies all input and output to hide what is
 * sensitive from a logger that is not there (6 % of a busy function's CPU).
 */
export function withoutCallLogging<Client extends { middlewareStack: { remove(name: string): boolean } }>(
  client: Client,
): Client {
  client.middlewareStack.remove("loggerMiddleware");
  return client;
}
