import type { ClaimAnswer, ClaimedTask } from "../shared/api/worker-schemas.ts";
import { Secret } from "./secret.ts";

/** A claimed task as the worker keeps it: what it knows of secrets cannot be printed by accident. */
export type WorkerTask = Omit<ClaimedTask, "secrets" | "registryAuth"> & {
  /** By the variable that a step finds them in. */
  secrets: ReadonlyMap<string, Secret>;
  /** A Docker configuration with credentials of registries. */
  registryAuth?: Secret;
};

/** The answer to one claim, as the worker keeps it. */
export type WorkerClaim = WorkerTask | Exclude<ClaimAnswer["claims"][number], ClaimedTask>;

/** Takes the values out of an answer as soon as it is read. */
export function wrapSecrets(answer: ClaimAnswer): WorkerClaim[] {
  return answer.claims.map((claim) => {
    if (claim.status !== "claimed") return claim;
    const secrets = Object.entries(claim.secrets).map(([name, value]) => [name, new Secret(value)] as const);
    const { registryAuth, ...rest } = claim;
    return {
      ...rest,
      secrets: new Map(secrets),
      ...(registryAuth === undefined ? {} : { registryAuth: new Secret(registryAuth) }),
    };
  });
}
