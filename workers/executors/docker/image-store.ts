import { withDeadline } from "../../retry.ts";
import type { DockerClient } from "./docker-client.ts";

const infoDeadlineMs = 30_000;
/** The repository of images that were shipped, on the daemons of workers. */
const shippedRepository = "sluice-shipped";

/**
 * How a daemon keeps images. `classic` calls an image by the digest of its configuration; `containerd` (Docker 25 and
 * later, where it is switched on) by the digest of a manifest, which is not the same everywhere.
 */
export type ImageStoreKind = "classic" | "containerd";

/** Asks a daemon who it is and how it keeps images. */
export async function inspectDaemon(docker: DockerClient): Promise<{ daemonId: string; store: ImageStoreKind }> {
  const info = (await withDeadline(docker.info(), infoDeadlineMs, "asking Docker about itself")) as {
    ID?: string;
    DriverStatus?: [string, string][] | null;
  };
  const driverType = info.DriverStatus?.find(([name]) => name === "driver-type")?.[1];
  return { daemonId: info.ID ?? "", store: driverType?.startsWith("io.containerd.") ? "containerd" : "classic" };
}

/** Whether a name is one that `shippedTag` gives. */
export function isShippedTag(name: string): boolean {
  return name.startsWith(`${shippedRepository}:`);
}

/** The tag that a shipped image gets, by which it is found again and removed; `imageId` is its configuration's digest. */
export function shippedTag(imageId: string): string {
  return `${shippedRepository}:${imageId.replace("sha256:", "")}`;
}
