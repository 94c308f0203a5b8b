import { resolve } from "node:path";
import { z } from "zod";

/** What a worker does when its cloud says that its machine is more likely than others to be taken soon. */
export const rebalanceChoices = ["finish", "drain", "ignore"] as const;
export type RebalanceChoice = (typeof rebalanceChoices)[number];

/** Where a worker hears that its machine goes away, and what it does about it. */
export interface NoticeConfig {
  /** The metadata service of the machine's cloud; undefined where there is none, or it is not to be asked. */
  endpoint: URL | undefined;
  /** A file whose appearance is a notice. */
  file: string | undefined;
  pollMs: number;
  rebalance: RebalanceChoice;
  /** So long before a scheduled event the worker takes no more tasks. */
  eventLeadMs: number;
}

const metadataEndpoint = "http://169.254.169.254";
const metadataEndpointV6 = "http://[fd00:ec2::254]";
const defaultPollMs = 5_000;
const defaultEventLeadMinutes = 15;
const msPerMinute = 60_000;
/** Of the two minutes of a spot notice half is left at least. */
const longestPollMs = 60_000;

const url = z.string().refine((text) => /^https?:\/\//.test(text) && URL.canParse(text), "is an http:// URL");
const wholeNumber = z.string().regex(/^\d+$/, "is a whole number").transform(Number);

/** The variables of the environment; those of AWS are read by its SDK as well. */
export const noticeEnv = {
  AWS_EC2_METADATA_DISABLED: z.string().optional(),
  AWS_EC2_METADATA_SERVICE_ENDPOINT: url.optional(),
  AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: z.string().optional(),
  SLUICE_OPENSTACK_METADATA_ENDPOINT: url.optional(),
  SLUICE_NOTICE_FILE: z.string().min(1, "is empty: name a file").optional(),
  SLUICE_NOTICE_POLL_MS: wholeNumber
    .refine((ms) => ms >= 1 && ms <= longestPollMs, `is between 1 and ${longestPollMs}`)
    .default(defaultPollMs),
  SLUICE_REBALANCE: z.enum(rebalanceChoices, { error: `is one of ${rebalanceChoices.join(", ")}` }).default("finish"),
  SLUICE_EVENT_LEAD_MINUTES: wholeNumber.default(defaultEventLeadMinutes),
};

type NoticeEnv = z.infer<z.ZodObject<typeof noticeEnv>>;

/** Makes the settings of what was read. */
export function readNoticeConfig(values: NoticeEnv, provider: string, cwd: string): NoticeConfig {
  return {
    endpoint: findEndpoint(values, provider),
    file: values.SLUICE_NOTICE_FILE === undefined ? undefined : resolve(cwd, values.SLUICE_NOTICE_FILE),
    pollMs: values.SLUICE_NOTICE_POLL_MS,
    rebalance: values.SLUICE_REBALANCE,
    eventLeadMs: values.SLUICE_EVENT_LEAD_MINUTES * msPerMinute,
  };
}

function findEndpoint(values: NoticeEnv, provider: string): URL | undefined {
  if (provider === "openstack") return new URL(values.SLUICE_OPENSTACK_METADATA_ENDPOINT ?? metadataEndpoint);
  if (provider !== "ec2" || values.AWS_EC2_METADATA_DISABLED?.toLowerCase() === "true") return undefined;
  const isV6 = values.AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE?.toLowerCase() === "ipv6";
  return new URL(values.AWS_EC2_METADATA_SERVICE_ENDPOINT ?? (isV6 ? metadataEndpointV6 : metadataEndpoint));
}
