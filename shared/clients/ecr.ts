import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";

/** Who signs: the provider that every AWS client has in its configuration. */
export type AwsCredentials = ConstructorParameters<typeof SignatureV4>[0]["credentials"];

/** What a registry of AWS takes instead of a password, and until when. */
export interface EcrToken {
  username: string;
  password: string;
  expiresAtMs: number;
}

/** ECR's answer to a call that it understood: the same the next time. */
export class EcrRefusal extends Error {}

export interface EcrClientOptions {
  credentials: AwsCredentials;
  /** Takes the place of AWS's own endpoint of each region. */
  endpoint?: string | undefined;
}

/** Asks for a token for the registries of a region; `domain` is `amazonaws.com` or that of another partition. */
export type EcrClient = (region: string, domain: string, signal: AbortSignal) => Promise<EcrToken>;

const deadlineMs = 10_000;
const contentType = "application/x-amz-json-1.1";
const target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";

/**
 * The one call of ECR that pulling needs, signed by the library that the SDK signs with: the SDK's own client would be
 * larger than all that workers have of it.
 */
export function createEcrClient({ credentials, endpoint }: EcrClientOptions): EcrClient {
  return async (region, domain, signal) => {
    const url = new URL(endpoint ?? `https://api.ecr.${region}.${domain}`);
    const signer = new SignatureV4({ credentials, region, service: "ecr", sha256: Sha256 });
    const signed = await signer.sign({
      method: "POST",
      protocol: url.protocol,
      hostname: url.hostname,
      ...(url.port === "" ? {} : { port: Number(url.port) }),
      path: url.pathname,
      headers: { host: url.host, "content-type": contentType, "x-amz-target": target },
      body: "{}",
    });
    const { host: _host, ...headers } = signed.headers;
    const either = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
    const answer = await fetch(url, { method: "POST", headers, body: "{}", signal: either }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw new Error(`ECR in ${region} could not be reached: ${explainFetch(error)}`, { cause: error });
    });
    const said = await answer.text();
    if (answer.ok) return readToken(said);
    const message = `ECR in ${region} gave no token: HTTP status ${answer.status} (${readError(said)})`;
    throw isPassing(answer.status, said) ? new Error(message) : new EcrRefusal(message);
  };
}

/** `fetch` says only that it failed; why is one further down. */
function explainFetch(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
}

function isPassing(status: number, said: string): boolean {
  return status >= 500 || status === 429 || /Throttling|TooManyRequests|RequestExpired|InternalFailure/.test(said);
}

function readToken(text: string): EcrToken {
  const { authorizationData } = JSON.parse(text) as {
    authorizationData?: { authorizationToken?: string; expiresAt?: number }[];
  };
  const [{ authorizationToken = "", expiresAt = 0 } = {}] = authorizationData ?? [];
  const decoded = Buffer.from(authorizationToken, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  if (colon < 0) throw new Error("ECR answered without a token");
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1), expiresAtMs: expiresAt * 1000 };
}

/** AWS's name of an error and its sentence. */
function readError(text: string): string {
  const type = /"__type"\s*:\s*"(?:[^"]*#)?([^"#]+)"/.exec(text)?.[1];
  const message = /"[mM]essage"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(text)?.[1];
  return [type, message].filter((part) => part !== undefined).join(": ") || text.slice(0, 200);
}
