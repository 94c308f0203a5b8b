import { z } from "zod";

/** A resource as the program registers it: what would be sent to AWS, with everything resolved. */
const resourceSchema = z.object({
  urn: z.string(),
  /** `aws:sqs/queue:Queue`; components begin with `sst:`. */
  type: z.string(),
  name: z.string(),
  parent: z.string().optional(),
  dependencies: z.array(z.string()),
  retainOnDelete: z.boolean(),
  inputs: z.record(z.string(), z.unknown()),
  /** What stands for AWS's answer: the inputs, and ids, ARNs and URLs made up in AWS's form. */
  outputs: z.record(z.string(), z.unknown()),
});

/** An evaluated plan. */
export const planSchema = z.object({
  stage: z.string(),
  resources: z.array(resourceSchema),
  /** What `sst deploy` would print at its end. */
  outputs: z.record(z.string(), z.unknown()),
  /** Where the CLI left the bundle of each function, by the function's component. */
  bundles: z.record(z.string(), z.string()),
});

export type PlannedResource = z.infer<typeof resourceSchema>;
export type Plan = z.infer<typeof planSchema>;
