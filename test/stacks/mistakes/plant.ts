import type { Plan, PlannedResource } from "../../../scripts/plan/plan-file.ts";

/** Plants a mistake in a plan. */
export type Plant = (plan: Plan) => void;

/** Mistakes by the rule that finds them. */
export type Mistakes = Record<string, Record<string, Plant>>;

/** Types of resources that mistakes are planted in. */
export const types = {
  queue: "aws:sqs/queue:Queue",
  alarm: "aws:cloudwatch/metricAlarm:MetricAlarm",
  mapping: "aws:lambda/eventSourceMapping:EventSourceMapping",
  lambda: "aws:lambda/function:Function",
  role: "aws:iam/role:Role",
  table: "aws:dynamodb/table:Table",
  template: "aws:ec2/launchTemplate:LaunchTemplate",
  lifecycle: "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
  schedule: "aws:scheduler/schedule:Schedule",
} as const;

/** The first resource of a type whose name in the program contains a text. */
export function find(plan: Plan, type: string, name = ""): PlannedResource {
  const found = plan.resources.find((resource) => resource.type === type && resource.name.includes(name));
  if (!found) throw new Error(`the plan has no ${type} ${name}`);
  return found;
}

/** Another value of an input, none where it is undefined; a path goes into objects and lists. */
export function change(type: string, name: string, path: string, value: unknown): Plant {
  return (plan) => changeInput(find(plan, type, name), path, value);
}

/** What `change` does, where the resource is at hand. */
export function changeInput(resource: PlannedResource, path: string, value: unknown): void {
  const keys = path.split(".");
  const last = keys.pop() ?? "";
  let target: Record<string, unknown> = resource.inputs;
  for (const key of keys) target = target[key] as Record<string, unknown>;
  if (value === undefined) delete target[last];
  else target[last] = value;
}

/** A resource that is not there. */
export function remove(type: string, name = ""): Plant {
  return (plan) => {
    const resource = find(plan, type, name);
    plan.resources = plan.resources.filter((other) => other !== resource);
  };
}

/** Changes the statements of a role's policies. */
export function editPolicy(role: PlannedResource, edit: (statements: Record<string, unknown>[]) => void): void {
  const policies = role.inputs.inlinePolicies as { policy: string }[];
  for (const inline of policies) {
    const document = JSON.parse(inline.policy) as { Statement: Record<string, unknown>[] };
    edit(document.Statement);
    inline.policy = JSON.stringify(document);
  }
}

/** Other actions, or another resource, in the first statement of a role's policies. */
export function changeGrant(role: string, fields: Record<string, unknown>): Plant {
  return (plan) => editPolicy(find(plan, types.role, role), ([first]) => Object.assign(first ?? {}, fields));
}

/** One more thing that a role may do. */
export function addGrant(role: string, action: string, resource: string): Plant {
  return (plan) =>
    editPolicy(find(plan, types.role, role), (all) =>
      all.push({ Effect: "Allow", Action: [action], Resource: resource }),
    );
}
