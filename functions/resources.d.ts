/** What the stack links to the functions; the local stack provides the same through `SST_RESOURCE_*`. */
declare module "sst/resource" {
  export interface Resource {
    Table: { name: string };
    Bucket: { name: string };
    /** Where secrets are: parameters below a path such as `/sluice/prod/secrets`, or encrypted files below a folder. */
    Secrets: { kind: "ssm"; path: string } | { kind: "local"; folder: string };
    Pools: Record<string, { queueUrl: string }>;
  }
}

export {};
