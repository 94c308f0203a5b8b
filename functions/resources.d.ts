/** What the stack links to the functions; the local stack provides the same through `SST_RESOURCE_*`. */
declare module "sst/resource" {
  export interface Resource {
    Table: { name: string };
    Bucket: { name: string };
    Pools: Record<string, { queueUrl: string }>;
  }
}

export {};
