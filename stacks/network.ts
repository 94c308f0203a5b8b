/** Two zones: enough to find capacity in another, few enough to read. */
const zoneCount = 2;
const addressBlock = "10.64.0.0/16";

/** Where workers run: public subnets, nobody may connect to them. */
export interface Network {
  subnetIds: $util.Output<string>[];
  securityGroupId: $util.Output<string>;
}

/**
 * A network of its own without a NAT gateway: workers have a public address while they live and go out by themselves,
 * S3 and DynamoDB are reached inside. Idle, nothing of it costs anything.
 */
export function createNetwork(): Network {
  const { region } = aws.getRegionOutput();
  const vpc = new aws.ec2.Vpc("Vpc", {
    cidrBlock: addressBlock,
    enableDnsHostnames: true,
    enableDnsSupport: true,
    tags: { Name: `sluice-${$app.stage}` },
  });
  const gateway = new aws.ec2.InternetGateway("VpcGateway", { vpcId: vpc.id });
  const routes = new aws.ec2.RouteTable("VpcRoutes", {
    vpcId: vpc.id,
    routes: [{ cidrBlock: "0.0.0.0/0", gatewayId: gateway.id }],
  });
  const zones = aws.getAvailabilityZonesOutput({
    state: "available",
    filters: [{ name: "opt-in-status", values: ["opt-in-not-required"] }],
  });
  const subnetIds = Array.from({ length: zoneCount }, (_, index) => {
    const subnet = new aws.ec2.Subnet(`VpcSubnet${index + 1}`, {
      vpcId: vpc.id,
      cidrBlock: `10.64.${index * 64}.0/18`,
      availabilityZone: zones.names.apply((names) => names[index % names.length] ?? ""),
      mapPublicIpOnLaunch: true,
      tags: { Name: `sluice-${$app.stage}-${index + 1}` },
    });
    new aws.ec2.RouteTableAssociation(`VpcSubnet${index + 1}Routes`, { subnetId: subnet.id, routeTableId: routes.id });
    return subnet.id;
  });
  for (const service of ["s3", "dynamodb"]) {
    new aws.ec2.VpcEndpoint(`VpcEndpoint${service}`, {
      vpcId: vpc.id,
      vpcEndpointType: "Gateway",
      serviceName: $interpolate`com.amazonaws.${region}.${service}`,
      routeTableIds: [routes.id],
    });
  }
  // What is put into the network without a group of its own can do nothing.
  new aws.ec2.DefaultSecurityGroup("VpcDefaultGroup", { vpcId: vpc.id, ingress: [], egress: [] });
  const group = new aws.ec2.SecurityGroup("WorkerGroup", {
    vpcId: vpc.id,
    description: "Sluice workers: out to anywhere, in from nowhere",
    ingress: [],
    egress: [{ protocol: "-1", fromPort: 0, toPort: 0, cidrBlocks: ["0.0.0.0/0"] }],
  });
  return { subnetIds, securityGroupId: group.id };
}
