import { objectPrefixes } from "../../shared/domain/object-keys.ts";
import type { Plan, PlannedResource } from "./plan-file.ts";
import { statementsOf } from "./policies.ts";
import { type Check, expect, only, type Rule } from "./rule.ts";

/** All that a worker's credentials may do, by the form of the resource it may be done on. */
const workerActions: Record<string, RegExp> = {
  "sqs:ReceiveMessage": /^arn:aws:sqs:[^:]+:\d+:sluice-[a-z0-9-]+$/,
  "sqs:DeleteMessage": /^arn:aws:sqs:[^:]+:\d+:sluice-[a-z0-9-]+$/,
  "sqs:ChangeMessageVisibility": /^arn:aws:sqs:[^:]+:\d+:sluice-[a-z0-9-]+$/,
  "s3:PutObject": new RegExp(`^arn:aws:s3:::[^/*]+/${objectPrefixes.jobs}\\*$`),
  "s3:PutObjectTagging": new RegExp(`^arn:aws:s3:::[^/*]+/${objectPrefixes.jobs}\\*$`),
  "s3:AbortMultipartUpload": new RegExp(`^arn:aws:s3:::[^/*]+/${objectPrefixes.jobs}\\*$`),
  "s3:GetObject": new RegExp(`^arn:aws:s3:::[^/*]+/${objectPrefixes.jobs}\\*/result\\.json$`),
};

/** Where the deployment names repositories, those may be pulled from, and no others. */
function pullActions({ outputs }: Plan): Record<string, RegExp> {
  const names = (outputs.ecrRepositories ?? []) as string[];
  if (names.length === 0) return {};
  const escaped = names.map((name) => name.replace(/[.*]/g, "\\$&"));
  const repository = new RegExp(`^arn:aws:ecr:[a-z0-9-]+:\\d+:repository/(${escaped.join("|")})$`);
  return {
    "ecr:GetAuthorizationToken": /^\*$/,
    "ecr:BatchGetImage": repository,
    "ecr:GetDownloadUrlForLayer": repository,
  };
}

/** What costs money by the hour, whether it is used or not. */
const hourlyTypes = [
  /^aws:ec2\/natGateway:/,
  /^aws:ec2\/eip:/,
  /^aws:ec2\/instance:/,
  /^aws:ec2\/fleet:/,
  /^aws:ec2\/spot/,
  /^aws:autoscaling\//,
  /^aws:lb\//,
  /^aws:ecs\//,
  /^aws:rds\//,
  /^aws:elasticache\//,
  /^aws:kinesis\//,
  /^aws:kms\/key:/,
  /^aws:lambda\/provisionedConcurrencyConfig:/,
  /^aws:secretsmanager\//,
  /^aws:wafv2\//,
];

/** What the fleet's base, and the plan as a whole, must hold. */
export const fleetRules: readonly Rule[] = [
  {
    name: "workers start hardened, and are gone when they shut down",
    check(plan, check) {
      const templates = only(plan, "aws:ec2/launchTemplate:LaunchTemplate");
      if (templates.length === 0) check.push({ resource: "the plan", detail: "has no launch template" });
      for (const template of templates) checkTemplate(plan, check, template);
      for (const architecture of ["x86_64", "arm64"]) {
        const has = templates.some(({ inputs }) => String(inputs.imageId).endsWith(`-${architecture}`));
        if (!has) check.push({ resource: "the plan", detail: `has no launch template for ${architecture}` });
      }
    },
  },
  {
    name: "nobody may connect to a worker",
    check(plan, check) {
      const groups = [
        ...only(plan, "aws:ec2/securityGroup:SecurityGroup"),
        ...only(plan, "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"),
      ];
      for (const group of groups) {
        expect(check, group, ((group.inputs.ingress ?? []) as unknown[]).length === 0, "has inbound rules");
      }
      for (const rule of plan.resources.filter(({ type }) => /securityGroupRule|IngressRule/.test(type))) {
        expect(check, rule, rule.inputs.type === "egress", "is an inbound rule");
      }
    },
  },
  {
    name: "a worker's credentials take messages of its pool, write its outputs and pull from repositories that are named, nothing else",
    check(plan, check) {
      const actions = { ...workerActions, ...pullActions(plan) };
      const profiles = only(plan, "aws:iam/instanceProfile:InstanceProfile");
      const queues = new Set(only(plan, "aws:sqs/queue:Queue").map(({ outputs }) => outputs.arn));
      const roles = only(plan, "aws:iam/role:Role").filter(({ inputs }) =>
        profiles.some((profile) => profile.inputs.role === inputs.name),
      );
      if (roles.length === 0) check.push({ resource: "the plan", detail: "has no worker role" });
      for (const role of roles) {
        const statements = statementsOf(role);
        for (const { Action, Resource } of statements) {
          for (const action of Action) {
            const form = actions[action];
            expect(check, role, form !== undefined, `may ${action}`);
            for (const resource of Resource) {
              expect(check, role, form?.test(resource) ?? false, `may ${action} on ${resource}`);
              if (action.startsWith("sqs:")) {
                const isPoolQueue = queues.has(resource) && !/-(dead|failures)$/.test(resource);
                expect(check, role, isPoolQueue, `${resource} is no pool's queue`);
              }
            }
          }
        }
        const allowed = new Set(statements.flatMap(({ Action }) => Action));
        for (const action of Object.keys(actions)) {
          expect(check, role, allowed.has(action), `may not ${action}`);
        }
      }
    },
  },
  {
    name: "nothing costs money by the hour while idle",
    check(plan, check) {
      for (const resource of plan.resources) {
        expect(
          check,
          resource,
          !hourlyTypes.some((form) => form.test(resource.type)),
          `${resource.type} costs while idle`,
        );
        if (resource.type === "aws:ec2/vpcEndpoint:VpcEndpoint") {
          expect(check, resource, resource.inputs.vpcEndpointType === "Gateway", "an endpoint that costs while idle");
        }
        if (resource.type === "aws:dynamodb/table:Table") {
          expect(check, resource, resource.inputs.billingMode === "PAY_PER_REQUEST", "capacity that costs while idle");
        }
      }
    },
  },
];

function checkTemplate(plan: Plan, check: Check, template: PlannedResource): void {
  const { inputs } = template;
  const metadata = (inputs.metadataOptions ?? {}) as Record<string, unknown>;
  expect(check, template, metadata.httpTokens === "required", "IMDSv2 is not required");
  expect(check, template, metadata.httpPutResponseHopLimit === 1, "the metadata service's hop limit is not 1");
  const disks = (inputs.blockDeviceMappings ?? []) as { ebs?: { encrypted?: string; deleteOnTermination?: string } }[];
  expect(check, template, disks.length > 0, "describes no disk");
  for (const { ebs } of disks) {
    expect(check, template, ebs?.encrypted === "true", "a disk is not encrypted");
    expect(check, template, ebs?.deleteOnTermination === "true", "a disk stays behind");
  }
  expect(check, template, inputs.instanceInitiatedShutdownBehavior === "terminate", "a shutdown does not terminate");
  const profile = (inputs.iamInstanceProfile as { arn?: string } | undefined)?.arn;
  const profiles = only(plan, "aws:iam/instanceProfile:InstanceProfile").map(({ outputs }) => outputs.arn);
  expect(check, template, profiles.includes(profile), "has no profile of the plan");
  const groups = only(plan, "aws:ec2/securityGroup:SecurityGroup").map(
    (group) => group.outputs.id ?? `sg-${group.name.toLowerCase()}`,
  );
  const own = (inputs.vpcSecurityGroupIds ?? []) as string[];
  const known = own.length > 0 && own.every((group) => groups.includes(group));
  expect(check, template, known, "has no security group, or one that is not the plan's");
  expect(
    check,
    template,
    inputs.networkInterfaces === undefined,
    "names an interface: a launch cannot choose its subnet",
  );
}
