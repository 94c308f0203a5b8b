import { objectPrefixes } from "../shared/domain/object-keys.ts";
import { accountResource } from "./account.ts";
import type { Network } from "./network.ts";
import type { PoolQueues } from "./pools.ts";
import type { Stage } from "./stage.ts";

/** Architectures a worker may have, as Amazon's machine images call them. */
const architectures = ["x86_64", "arm64"] as const;
/** For images, workspaces and logs not yet shipped. */
const diskGb = 50;

/** A pool's launch templates by architecture. */
export interface FleetBase {
  pool: string;
  launchTemplates: Record<(typeof architectures)[number], $util.Output<string>>;
}

/** What workers are connected to, and the private repositories that they may pull from. */
export interface FleetSurroundings {
  network: Network;
  bucket: sst.aws.Bucket;
  pools: readonly PoolQueues[];
  /** Their names, which may hold `*`. */
  ecrRepositories: readonly string[];
}

/**
 * What instances are launched from. Nothing here runs: a launch brings the user data (a worker's token, its pool, what
 * to install) and chooses type, subnet and price.
 */
export function createFleetBase(stage: Stage, surroundings: FleetSurroundings): FleetBase[] {
  const { network, pools } = surroundings;
  return pools.map((pool) => {
    const component = `Worker${pool.queue.nodes.queue ? pool.name.replace(/[^a-z0-9]/g, "") : ""}`;
    const role = createWorkerRole(stage, component, surroundings, pool);
    const profile = new aws.iam.InstanceProfile(`${component}Profile`, {
      name: `sluice-${stage.name}-worker-${pool.name}`,
      role: role.name,
    });
    const launchTemplates = Object.fromEntries(
      architectures.map((architecture) => [
        architecture,
        createLaunchTemplate(stage, component, { pool: pool.name, architecture, network, profileArn: profile.arn }),
      ]),
    ) as FleetBase["launchTemplates"];
    return { pool: pool.name, launchTemplates };
  });
}

/**
 * A worker takes messages of its pool's queue and writes what its attempts leave behind. It cannot list, and of what is
 * stored it can read manifests only: one that finds its attempt committed has to know how it ended. It pulls from
 * the private repositories that the deployment names. All else it asks of the API, whose answers depend on its leases.
 */
function createWorkerRole(
  stage: Stage,
  component: string,
  { bucket, ecrRepositories }: FleetSurroundings,
  pool: PoolQueues,
) {
  const statements = [
    {
      Effect: "Allow",
      Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"],
      Resource: pool.queue.arn,
    },
    {
      Effect: "Allow",
      // What is to be kept for a time only is stored with a tag that says so.
      Action: ["s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload"],
      Resource: $interpolate`${bucket.arn}/${objectPrefixes.jobs}*`,
    },
    {
      Effect: "Allow",
      Action: ["s3:GetObject"],
      Resource: $interpolate`${bucket.arn}/${objectPrefixes.jobs}*/result.json`,
    },
    ...(ecrRepositories.length > 0 ? allowPulls(ecrRepositories) : []),
  ];
  return new aws.iam.Role(`${component}Role`, {
    name: `sluice-${stage.name}-worker-${pool.name}`,
    assumeRolePolicy: aws.iam.assumeRolePolicyForPrincipal({ Service: "ec2.amazonaws.com" }),
    inlinePolicies: [{ name: "work", policy: $util.jsonStringify({ Version: "2012-10-17", Statement: statements }) }],
  });
}

function allowPulls(ecrRepositories: readonly string[]) {
  return [
    // A token says only whose it is; what may be pulled with it is the next statement. It knows no resources.
    { Effect: "Allow", Action: ["ecr:GetAuthorizationToken"], Resource: "*" },
    {
      Effect: "Allow",
      Action: ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
      Resource: ecrRepositories.map((name) => accountResource("ecr", `repository/${name}`)),
    },
  ];
}

function createLaunchTemplate(
  stage: Stage,
  component: string,
  options: { pool: string; architecture: string; network: Network; profileArn: $util.Output<string> },
): $util.Output<string> {
  const { pool, architecture, network, profileArn } = options;
  const name = `sluice-${stage.name}-${pool}-${architecture.replace("_", "-")}`;
  const tags = { Name: name, "sluice:stage": stage.name, "sluice:pool": pool };
  const template = new aws.ec2.LaunchTemplate(`${component}${architecture.replace("_", "")}`, {
    name,
    description: `Sluice: workers of the pool ${pool}, ${architecture}`,
    updateDefaultVersion: true,
    // Resolved at each launch: new instances are up to date without a deployment.
    imageId: `resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${architecture}`,
    // A worker that shuts its machine down is gone, with its disk: nothing is left to pay for.
    instanceInitiatedShutdownBehavior: "terminate",
    iamInstanceProfile: { arn: profileArn },
    // A container is one hop further away than its host: it cannot reach the role's credentials.
    metadataOptions: { httpEndpoint: "enabled", httpTokens: "required", httpPutResponseHopLimit: 1 },
    // No network interface here: a launch names the subnet, whose instances get a public address.
    vpcSecurityGroupIds: [network.securityGroupId],
    blockDeviceMappings: [
      {
        deviceName: "/dev/xvda",
        ebs: { volumeType: "gp3", volumeSize: diskGb, encrypted: "true", deleteOnTermination: "true" },
      },
    ],
    tagSpecifications: [
      { resourceType: "instance", tags },
      { resourceType: "volume", tags },
    ],
  });
  return template.id;
}
