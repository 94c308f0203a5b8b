import { z } from "zod";
import { reasonFor } from "../../shared/domain/reason.ts";
import { parseJson } from "../../shared/parse-json.ts";
import type { Secret } from "../secret.ts";
import { StepFault } from "./executor.ts";

/** What the daemon is given to sign in to a registry with. */
export interface RegistryCredentials {
  username?: string;
  password?: string;
  identitytoken?: string;
  registrytoken?: string;
  serveraddress: string;
}

const entrySchema = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
  registrytoken: z.string().optional(),
});
const configSchema = z.object({ auths: z.record(z.string(), entrySchema) });
type Entry = z.infer<typeof entrySchema>;

const dockerHub = "docker.io";
/** Names that Docker itself writes for its own registry. */
const dockerHubNames = new Set(["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", dockerHub]);

/**
 * The credentials of a Docker configuration (`{"auths": {"registry.example.com": {"auth": "…"}}}`, as `docker login`
 * writes it) for an image: those of the longest name that the image's begins with; undefined where there are none.
 */
export function findCredentials(config: Secret, reference: string): RegistryCredentials | undefined {
  const image = nameOf(reference);
  const matching = Object.entries(readConfig(config))
    .map(([server, entry]) => ({ server, entry, name: normalizeServer(server) }))
    .filter(({ name }) => image === name || image.startsWith(`${name}/`))
    .sort((a, b) => b.name.length - a.name.length);
  const [best] = matching;
  return best && { ...toCredentials(best.entry), serveraddress: best.server };
}

/** Every part of a Docker configuration that must not be seen. A broken one has none that could be told apart. */
export function listSecretParts(config: Secret): string[] {
  const text = config.reveal();
  const parsed = configSchema.safeParse(parseJson(text));
  if (!parsed.success) return [text];
  const parts = Object.values(parsed.data.auths).flatMap((entry) => {
    const { username: _username, serveraddress: _server, ...secret } = { serveraddress: "", ...toCredentials(entry) };
    return [entry.auth, ...Object.values(secret)];
  });
  return [text, ...parts.filter((part): part is string => part !== undefined && part !== "")];
}

function readConfig(config: Secret): Record<string, Entry> {
  const parsed = configSchema.safeParse(parseJson(config.reveal()));
  if (parsed.success) return parsed.data.auths;
  const detail =
    "the secret of registry_auth is no Docker configuration: set it to what `docker login` writes, such as " +
    '{"auths": {"registry.example.com": {"auth": "<base64 of user:password>"}}}';
  throw new StepFault({ ...reasonFor("image_unavailable", detail), fault: "user" });
}

/** `auth` is `user:password` in base64; a password may hold colons. */
function toCredentials({ auth, ...given }: Entry): Omit<RegistryCredentials, "serveraddress"> {
  const decoded = auth === undefined ? "" : Buffer.from(auth, "base64").toString("utf8").replace(/\0+$/, "");
  const colon = decoded.indexOf(":");
  const fromAuth = colon < 0 ? {} : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
  const own = Object.entries(given).filter(([, value]) => value !== undefined && value !== "");
  return { ...fromAuth, ...Object.fromEntries(own) };
}

/** The registry and repository of a reference, without tag and digest; Docker's own registry is the default. */
function nameOf(reference: string): string {
  const withoutDigest = reference.replace(/@.*$/, "").replace(/:[^:/]+$/, "");
  const [first = "", ...rest] = withoutDigest.split("/");
  const namesRegistry = rest.length > 0 && (/[.:]/.test(first) || first === "localhost");
  if (!namesRegistry) return `${dockerHub}/${rest.length > 0 ? withoutDigest : `library/${withoutDigest}`}`;
  return dockerHubNames.has(first) ? [dockerHub, ...rest].join("/") : withoutDigest;
}

function normalizeServer(server: string): string {
  const name = server
    .replace(/^https?:\/\//, "")
    .replace(/\/+$/, "")
    .replace(/\/v[12]$/, "");
  return dockerHubNames.has(name) ? dockerHub : name;
}
