import type { EcrClient, EcrToken } from "../../shared/clients/ecr.ts";
import { SharedWork } from "../images/shared-work.ts";
import type { RegistryCredentials } from "./registry-auth.ts";

/** A token is good for twelve hours; one that ends within this time is renewed before it is used. */
const renewBeforeMs = 30 * 60_000;

/** Where a private registry of AWS is; its region has tokens for it. */
export interface EcrRegistry {
  region: string;
  /** `amazonaws.com`, or that of another partition. */
  domain: string;
}

/** Signs a pull in with a token of the worker's role. */
export interface RoleSignIn {
  getCredentials(signal: AbortSignal): Promise<RegistryCredentials>;
  /** The registry refused the token. */
  forget(): void;
}

export interface EcrLoginOptions {
  client: EcrClient;
  nowMs?: () => number;
  /** Which hosts are shown a token. */
  findRegistry?: (host: string) => EcrRegistry | undefined;
}

/** Signs in to the private registries of AWS with the credentials of the machine. One token is good for a region. */
export class EcrLogin {
  readonly #client: EcrClient;
  readonly #nowMs: () => number;
  readonly #findRegistry: (host: string) => EcrRegistry | undefined;
  readonly #tokens = new Map<string, EcrToken>();
  readonly #requests = new SharedWork<EcrToken>();

  constructor({ client, nowMs = Date.now, findRegistry = findEcrRegistry }: EcrLoginOptions) {
    this.#client = client;
    this.#nowMs = nowMs;
    this.#findRegistry = findRegistry;
  }

  /** How to sign in for an image, or undefined where its registry is none of AWS's. */
  forImage(reference: string): RoleSignIn | undefined {
    const [host = ""] = reference.split("/");
    const registry = this.#findRegistry(host);
    if (registry === undefined) return undefined;
    return {
      getCredentials: async (signal) => {
        const { username, password } = await this.#getToken(registry, signal);
        return { username, password, serveraddress: host };
      },
      forget: () => this.#tokens.delete(registry.region),
    };
  }

  async #getToken({ region, domain }: EcrRegistry, signal: AbortSignal): Promise<EcrToken> {
    const known = this.#tokens.get(region);
    if (known !== undefined && known.expiresAtMs - this.#nowMs() > renewBeforeMs) return known;
    return this.#requests.join(region, signal, async (shared) => {
      const token = await this.#client(region, domain, shared);
      this.#tokens.set(region, token);
      return token;
    });
  }
}

/** `<account>.dkr.ecr.<region>.amazonaws.com`, in China with `.cn`: nobody else may see the worker's token. */
export function findEcrRegistry(host: string): EcrRegistry | undefined {
  const [, region, domain] = /^\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)$/.exec(host) ?? [];
  return region === undefined || domain === undefined ? undefined : { region, domain };
}
