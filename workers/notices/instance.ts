import * as z from "zod";
import { parseJson } from "../../shared/parse-json.ts";
import type { Provider } from "../config.ts";
import { Imds } from "./imds.ts";
import { askMetadata, type MetadataEndpoint } from "./metadata-service.ts";

/** What the machine's cloud says that it is. */
export interface InstanceIdentity {
  instanceId?: string;
  instanceType?: string;
}

/** Names of instances and types; a web page that answers in the service's place has others. */
const namePattern = /^[\w.:-]{1,100}$/;
const openStackSchema = z.object({ uuid: z.string().regex(namePattern) });

/** Asks the cloud which instance this is, and of what type; what is not known in time is left out. Never throws. */
export async function readInstance(options: {
  provider: Provider;
  endpoint: MetadataEndpoint | undefined;
  deadlineMs: number;
  nowMs: () => number;
}): Promise<InstanceIdentity> {
  const { provider, endpoint, deadlineMs, nowMs } = options;
  if (endpoint === undefined || provider === "local") return {};
  const [instanceId, instanceType] =
    provider === "ec2"
      ? await readFromEc2(new Imds(endpoint, nowMs), deadlineMs)
      : await readFromOpenStack(endpoint, deadlineMs);
  return { ...(instanceId && { instanceId }), ...(instanceType && { instanceType }) };
}

async function readFromEc2(imds: Imds, deadlineMs: number): Promise<(string | undefined)[]> {
  const answers = await Promise.all([imds.read("instance-id", deadlineMs), imds.read("instance-type", deadlineMs)]);
  return answers.map((answer) => readName(answer));
}

/** Nova tells the flavour's name only beside its own format, in the one that it shares with EC2's first version. */
async function readFromOpenStack(endpoint: MetadataEndpoint, deadlineMs: number): Promise<(string | undefined)[]> {
  const [own, type] = await Promise.all([
    askMetadata(endpoint, { path: openStackMetadataPath, deadlineMs }),
    askMetadata(endpoint, { path: "/latest/meta-data/instance-type", deadlineMs }),
  ]);
  const parsed = openStackSchema.safeParse(own?.status === 200 ? parseJson(own.text) : undefined);
  return [parsed.data?.uuid, readName(type)];
}

/** What Nova tells a server about itself. */
export const openStackMetadataPath = "/openstack/latest/meta_data.json";

function readName(answer: { status: number; text: string } | undefined): string | undefined {
  const name = answer?.status === 200 ? answer.text.trim() : "";
  return namePattern.test(name) ? name : undefined;
}
