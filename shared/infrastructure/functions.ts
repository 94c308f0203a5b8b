/**
 * What each function is given, on a laptop and on AWS. Who calls a function waits longer than the function may take,
 * and a function waits longer than its calls to AWS may take (shared/clients/aws-options.ts).
 */
export const functionLimits = {
  /** Ends its own streams after 14 minutes; 15 is the most Lambda allows. Other requests are answered in seconds. */
  api: { timeoutSeconds: 900, memoryMb: 512 },
  fold: { timeoutSeconds: 60, memoryMb: 512 },
  chores: { timeoutSeconds: 60, memoryMb: 512 },
  deadLetters: { timeoutSeconds: 30, memoryMb: 512 },
  /** Shorter than its schedule's period: two sweeps never overlap. */
  sweep: { timeoutSeconds: 55, memoryMb: 512 },
} as const;

/** Name of a function with limits. */
export type FunctionName = keyof typeof functionLimits;
