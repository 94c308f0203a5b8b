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
