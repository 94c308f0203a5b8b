/** How a stage is treated. */
export interface Stage {
  name: string;
  kind: "personal" | "staging" | "production";
  /** What happens to resources that are removed from the stack, or with it. */
  removal: "remove" | "retain";
  /** `sst remove` is refused. */
  protect: boolean;
  /** The table refuses to be deleted, the bucket keeps replaced and deleted objects for a while. */
  keepsData: boolean;
  /** A dashboard costs money beyond the third of an account; a personal stage has none. */
  hasDashboard: boolean;
  logRetention: "1 week" | "1 month" | "3 months";
}

/** Longer ones do not fit into the names of roles and functions. */
const longestStageName = 24;

/** Describes a stage by its name: `production`, `staging`, or anybody's own. */
export function describeStage(name: string): Stage {
  if (!/^[a-z][a-z0-9-]*$/.test(name) || name.length > longestStageName) {
    throw new Error(
      `the stage "${name}" has no proper name: small letters, digits and "-", at most ${longestStageName} characters`,
    );
  }
  switch (name) {
    case "production":
      return {
        name,
        kind: "production",
        removal: "retain",
        protect: true,
        keepsData: true,
        hasDashboard: true,
        logRetention: "3 months",
      };
    case "staging":
      return {
        name,
        kind: "staging",
        removal: "remove",
        protect: false,
        keepsData: false,
        hasDashboard: true,
        logRetention: "1 month",
      };
    default:
      return {
        name,
        kind: "personal",
        removal: "remove",
        protect: false,
        keepsData: false,
        hasDashboard: false,
        logRetention: "1 week",
      };
  }
}
