import { type Reason, reasonFor } from "../../../shared/domain/reason.ts";

/** What went wrong with bringing an image: what a user can mend is told at once, what may pass is tried again. */
export type ImageFaultKind =
  | "not_found"
  | "denied"
  | "platform"
  | "invalid"
  | "limited"
  | "unreachable"
  | "disk_full"
  | "other";

/** In this order: what stands in the daemon's words, from the plainest to the vaguest. */
const kinds: readonly { kind: ImageFaultKind; words: RegExp }[] = [
  { kind: "disk_full", words: /no space left on device|disk quota exceeded/i },
  { kind: "limited", words: /toomanyrequests|too many requests|rate limit/i },
  { kind: "invalid", words: /invalid reference|invalid repository name|repository name must/i },
  {
    kind: "platform",
    words: /no matching manifest|no match for platform|does not match the (specified|detected) platform/i,
  },
  {
    kind: "unreachable",
    words:
      /dial tcp|connection (refused|reset)|no such host|i\/o timeout|timeout|deadline exceeded|temporary failure|network is unreachable|server gave http response|unexpected EOF|\bEOF\b|status:? 5\d\d|5\d\d [A-Z]|nothing came for|\btls: |x509|could not be reached|internal server error|bad gateway|service unavailable/i,
  },
  // Docker's own registry answers so for what is not there as well: it does not tell strangers which it is.
  { kind: "denied", words: /denied|unauthorized|authentication required|no basic auth credentials|forbidden/i },
  { kind: "not_found", words: /manifest unknown|name unknown|not found|does not exist|no such image/i },
];

/** Classifies what the daemon said about an image; the name itself, which may hold any words, says nothing. */
export function classifyImageFault(message: string, reference?: string): ImageFaultKind {
  const said = reference === undefined ? message : withoutName(message, reference);
  return kinds.find(({ words }) => words.test(said))?.kind ?? "other";
}

/** Daemons quote a reference whole, or its repository, or its path within the registry. */
function withoutName(message: string, reference: string): string {
  const repository = reference.replace(/@.*$/, "").replace(/:[^:/]+$/, "");
  const path = repository.replace(/^[^/]*[.:][^/]*\//, "");
  return [reference, repository, path].reduce((text, name) => text.replaceAll(name, "…"), message);
}

/** Tells whether the answer is a decision, which would be the same the next time. */
export function isImageRefusal(kind: ImageFaultKind): boolean {
  return kind === "not_found" || kind === "denied" || kind === "platform" || kind === "invalid";
}

/** As whom a registry was asked: by the job's `registry_auth`, as the worker's role on AWS, as nobody. */
export type SignIn = "secret" | "role" | "none";

/** Why an image could not be pulled: what happened, in the registry's words, and what to do. */
export function explainPullFault(
  reference: string,
  { kind, message, signIn }: { kind: ImageFaultKind; message: string; signIn: SignIn },
): Reason {
  const said = `(${message.trim()})`;
  const sentences: Record<ImageFaultKind, string> = {
    not_found: `there is no image ${reference}: check its name and tag ${said}`,
    denied: explainDenial(reference, signIn, said),
    platform: `image ${reference} does not exist for the processor of this worker ${said}`,
    invalid: `${reference} is no image reference ${said}`,
    limited: `the registry of ${reference} allows no more pulls for now; with registry_auth its limit may be higher ${said}`,
    unreachable: `the registry of ${reference} could not be reached ${said}`,
    disk_full: `the worker's disk is full: image ${reference} does not fit ${said}`,
    other: `image ${reference} could not be pulled ${said}`,
  };
  const reason = reasonFor("image_unavailable", sentences[kind]);
  return isImageRefusal(kind) ? { ...reason, fault: "user" } : reason;
}

function explainDenial(reference: string, signIn: SignIn, said: string): string {
  switch (signIn) {
    case "secret":
      return `the registry refuses ${reference} to the credentials of registry_auth: check them, and the image's name ${said}`;
    case "role":
      return (
        `the registry refuses ${reference} to the worker's role: allow the role to pull from the repository ` +
        `(SLUICE_ECR_REPOSITORIES of the deployment), or name a secret with credentials as registry_auth ${said}`
      );
    case "none":
      return `the registry refuses ${reference} without credentials: name a secret with them as registry_auth, or check the image's name ${said}`;
  }
}
