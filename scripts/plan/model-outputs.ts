/** What stands for AWS while a plan is evaluated: made-up ids, ARNs and URLs in AWS's own form. */
export const modelAccount = "000000000000";
export const modelRegion = "us-east-1";
const partition = "aws";

type Values = Record<string, unknown>;
interface Model {
  id: string;
  state: Values;
}

/** What a kind of resource answers beyond what it was given. */
type ResourceModel = (inputs: Values, name: string) => Model;

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const arn = (service: string, resource: string, { region = modelRegion, account = modelAccount } = {}): string =>
  `arn:${partition}:${service}:${region}:${account}:${resource}`;
const global = { region: "" };

/** Only an id, made of the resource's name in the program. */
const idOnly: ResourceModel = (_, name) => ({ id: name.toLowerCase(), state: {} });
const named =
  (key: string, describe: (name: string) => Values = () => ({})): ResourceModel =>
  (inputs, name) => {
    const physical = text(inputs[key]) || name;
    return { id: physical, state: { [key]: physical, ...describe(physical) } };
  };
const ec2 =
  (prefix: string, kind: string): ResourceModel =>
  (_, name) => {
    const id = `${prefix}-${name.toLowerCase()}`;
    return { id, state: { arn: arn("ec2", `${kind}/${id}`) } };
  };

const resourceModels: Record<string, ResourceModel> = {
  "aws:cloudfront/cachePolicy:CachePolicy": idOnly,
  "aws:cloudfront/distribution:Distribution": (_, name) => ({
    id: `E${name.toUpperCase()}`,
    state: {
      arn: arn("cloudfront", `distribution/E${name.toUpperCase()}`, global),
      domainName: `${name.toLowerCase()}.cloudfront.net`,
      hostedZoneId: "Z2FDTNDATAQYW2",
    },
  }),
  "aws:cloudfront/function:Function": named("name", (name) => ({ arn: arn("cloudfront", `function/${name}`, global) })),
  "aws:cloudfront/keyValueStore:KeyValueStore": named("name", (name) => ({
    arn: arn("cloudfront", `key-value-store/${name}`, global),
  })),
  "aws:cloudfront/originAccessControl:OriginAccessControl": idOnly,
  "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": idOnly,
  "aws:cloudwatch/dashboard:Dashboard": named("dashboardName"),
  "aws:cloudwatch/logGroup:LogGroup": named("name", (name) => ({ arn: arn("logs", `log-group:${name}`) })),
  "aws:cloudwatch/metricAlarm:MetricAlarm": named("name", (name) => ({ arn: arn("cloudwatch", `alarm:${name}`) })),
  "aws:dynamodb/table:Table": named("name", (name) => ({
    arn: arn("dynamodb", `table/${name}`),
    streamArn: arn("dynamodb", `table/${name}/stream/2026-01-01T00:00:00.000`),
  })),
  "aws:dynamodb/tableItem:TableItem": idOnly,
  "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": ec2("sg", "security-group"),
  "aws:ec2/internetGateway:InternetGateway": ec2("igw", "internet-gateway"),
  "aws:ec2/launchTemplate:LaunchTemplate": ec2("lt", "launch-template"),
  "aws:ec2/routeTable:RouteTable": ec2("rtb", "route-table"),
  "aws:ec2/routeTableAssociation:RouteTableAssociation": ec2("rtbassoc", "route-table-association"),
  "aws:ec2/securityGroup:SecurityGroup": ec2("sg", "security-group"),
  "aws:ec2/subnet:Subnet": ec2("subnet", "subnet"),
  "aws:ec2/vpc:Vpc": ec2("vpc", "vpc"),
  "aws:ec2/vpcEndpoint:VpcEndpoint": ec2("vpce", "vpc-endpoint"),
  "aws:iam/instanceProfile:InstanceProfile": named("name", (name) => ({
    arn: arn("iam", `instance-profile/${name}`, global),
  })),
  "aws:iam/role:Role": named("name", (name) => ({ arn: arn("iam", `role/${name}`, global) })),
  "aws:lambda/eventSourceMapping:EventSourceMapping": idOnly,
  "aws:lambda/function:Function": named("name", (name) => {
    const functionArn = arn("lambda", `function:${name}`);
    return {
      arn: functionArn,
      version: "$LATEST",
      qualifiedArn: `${functionArn}:$LATEST`,
      invokeArn: `arn:${partition}:apigateway:${modelRegion}:lambda:path/2015-03-31/functions/${functionArn}/invocations`,
      lastModified: "2026-01-01T00:00:00.000+0000",
    };
  }),
  "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": idOnly,
  "aws:lambda/functionUrl:FunctionUrl": (inputs, name) => ({
    id: text(inputs.functionName) || name,
    state: { functionUrl: `https://${name.toLowerCase()}.lambda-url.${modelRegion}.on.aws/` },
  }),
  "aws:lambda/permission:Permission": idOnly,
  "aws:s3/bucket:Bucket": named("bucket", (bucket) => ({
    arn: `arn:${partition}:s3:::${bucket}`,
    bucketDomainName: `${bucket}.s3.amazonaws.com`,
    bucketRegionalDomainName: `${bucket}.s3.${modelRegion}.amazonaws.com`,
  })),
  "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": idOnly,
  "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": idOnly,
  "aws:s3/bucketObjectv2:BucketObjectv2": named("key"),
  "aws:s3/bucketPolicy:BucketPolicy": idOnly,
  "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": idOnly,
  "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": idOnly,
  "aws:s3/bucketVersioning:BucketVersioning": idOnly,
  "aws:scheduler/schedule:Schedule": named("name", (name) => ({ arn: arn("scheduler", `schedule/default/${name}`) })),
  "aws:sns/topic:Topic": named("name", (name) => ({ arn: arn("sns", name) })),
  "aws:sqs/queue:Queue": (inputs, name) => {
    const queue = text(inputs.name) || name;
    const url = `https://sqs.${modelRegion}.amazonaws.com/${modelAccount}/${queue}`;
    return { id: url, state: { name: queue, url, arn: arn("sqs", queue) } };
  },
  "aws:ssm/parameter:Parameter": named("name", (name) => ({ arn: arn("ssm", `parameter${name}`) })),
  "pulumi:providers:aws": idOnly,
  "pulumi-nodejs:dynamic:Resource": idOnly,
  "random:index/randomBytes:RandomBytes": (inputs, name) => {
    const bytes = Buffer.alloc(Number(inputs.length), name);
    return { id: name, state: { base64: bytes.toString("base64"), hex: bytes.toString("hex") } };
  },
  "random:index/randomPassword:RandomPassword": (inputs, name) => ({
    id: name,
    state: { result: name.repeat(Number(inputs.length)).slice(0, Number(inputs.length)) },
  }),
};

/** What stands for a created resource. An unknown kind is an error: a plan must not go on with what it does not know. */
export function modelResource(type: string, name: string, inputs: Values): Model {
  if (type.startsWith("sst:") || type === "pulumi:pulumi:Stack") return { id: name, state: { ...inputs } };
  const model = resourceModels[type];
  if (!model)
    throw new Error(`the plan has no model of the resource ${type}: add one to scripts/plan/model-outputs.ts`);
  const { id, state } = model(inputs, name);
  return { id, state: { ...inputs, ...state } };
}

interface PolicyStatement {
  sid?: string;
  effect?: string;
  actions?: string[];
  resources?: string[];
  principals?: { type: string; identifiers: string[] }[];
  conditions?: { test: string; variable: string; values: string[] }[];
}

const dataSources: Record<string, (inputs: Values) => Values> = {
  "aws:iam/getPolicyDocument:getPolicyDocument": (inputs) => ({
    ...inputs,
    json: JSON.stringify({
      Version: "2012-10-17",
      Statement: ((inputs.statements ?? []) as PolicyStatement[]).map(renderStatement),
    }),
  }),
  "aws:index/getRegion:getRegion": () => ({ id: modelRegion, name: modelRegion, region: modelRegion }),
  "aws:index/getPartition:getPartition": () => ({ id: partition, partition, dnsSuffix: "amazonaws.com" }),
  "aws:index/getCallerIdentity:getCallerIdentity": () => ({
    id: modelAccount,
    accountId: modelAccount,
    arn: arn("iam", "user/plan", global),
    userId: "PLAN",
  }),
  "aws:index/getAvailabilityZones:getAvailabilityZones": () => ({
    id: modelRegion,
    names: ["a", "b", "c"].map((zone) => `${modelRegion}${zone}`),
  }),
};

/** What stands for the answer of a data source. An unknown one is an error. */
export function modelDataSource(token: string, inputs: Values): Values {
  const model = dataSources[token];
  if (!model)
    throw new Error(`the plan has no model of the data source ${token}: add one to scripts/plan/model-outputs.ts`);
  return model(inputs);
}

/** A statement as the provider renders it into a policy's JSON. */
function renderStatement(statement: PolicyStatement): Values {
  const { sid, effect = "Allow", actions, resources, principals = [], conditions = [] } = statement;
  const byTest = Map.groupBy(conditions, ({ test }) => test);
  return {
    ...(sid ? { Sid: sid } : {}),
    Effect: effect,
    ...(actions ? { Action: actions } : {}),
    ...(resources ? { Resource: resources } : {}),
    ...(principals.length > 0 ? { Principal: renderPrincipals(principals) } : {}),
    ...(byTest.size > 0
      ? {
          Condition: Object.fromEntries(
            [...byTest].map(([test, of]) => [test, Object.fromEntries(of.map((c) => [c.variable, c.values]))]),
          ),
        }
      : {}),
  };
}

function renderPrincipals(principals: { type: string; identifiers: string[] }[]): unknown {
  if (principals.some(({ type }) => type === "*")) return "*";
  return Object.fromEntries(principals.map(({ type, identifiers }) => [type, identifiers]));
}
