import { addGrant, change, changeGrant, find, type Mistakes, remove, types } from "./plant.ts";

const { queue, template } = types;
const ecr = "arn:aws:ecr:us-east-1:000000000000";

/** Mistakes in what workers run on and in what they may do. */
export const workerMistakes: Mistakes = {
  "workers start hardened, and are gone when they shut down": {
    IMDSv1: change(template, "", "metadataOptions.httpTokens", "optional"),
    "metadata that containers reach": change(template, "", "metadataOptions.httpPutResponseHopLimit", 2),
    "a disk in the clear": change(template, "", "blockDeviceMappings.0.ebs.encrypted", "false"),
    "a shutdown that leaves a stopped instance": change(template, "", "instanceInitiatedShutdownBehavior", "stop"),
    "no template for arm64": remove(template, "arm64"),
    "a foreign security group": change(template, "", "vpcSecurityGroupIds", ["sg-1234"]),
  },
  "nobody may connect to a worker": {
    "SSH from anywhere": change("aws:ec2/securityGroup:SecurityGroup", "", "ingress", [
      { protocol: "tcp", fromPort: 22, toPort: 22, cidrBlocks: ["0.0.0.0/0"] },
    ]),
  },
  "a worker's credentials take messages of its pool, write its outputs and pull from repositories that are named, nothing else":
    {
      "a worker that may send messages": changeGrant("Worker", { Action: ["sqs:SendMessage"] }),
      "a worker that may read every output": addGrant("Worker", "s3:GetObject", "arn:aws:s3:::bucket/jobs/*"),
      "a worker that may take dead letters": (plan) =>
        changeGrant("Worker", { Resource: find(plan, queue, "Dead").outputs.arn })(plan),
      "a worker that may push images": addGrant("Worker", "ecr:PutImage", `${ecr}:repository/team/a`),
      "a worker that may pull from anybody": addGrant("Worker", "ecr:BatchGetImage", "*"),
      "a worker that may pull whatever the account has": addGrant("Worker", "ecr:BatchGetImage", `${ecr}:repository/*`),
      "a worker that may pull what nobody named": addGrant("Worker", "ecr:BatchGetImage", `${ecr}:repository/tools/x`),
      "a worker that asks for tokens though there is nothing to pull": (plan) => {
        plan.outputs.ecrRepositories = [];
      },
      "a worker that cannot delete its messages": changeGrant("Worker", { Action: ["sqs:ReceiveMessage"] }),
    },
  "nothing costs money by the hour while idle": {
    "a NAT gateway": (plan) => plan.resources.push({ ...find(plan, template), type: "aws:ec2/natGateway:NatGateway" }),
    "an interface endpoint": change("aws:ec2/vpcEndpoint:VpcEndpoint", "", "vpcEndpointType", "Interface"),
  },
};
