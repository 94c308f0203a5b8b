import { type Reason, reasonFor } from "../../../shared/domain/reason.ts";
import { shortenDigest } from "../../images/blob-content.ts";
import type { LogStream } from "../../logs/line-cutter.ts";
import { withDeadline } from "../../retry.ts";
import type { StepOutput } from "../executor.ts";
import type { DockerClient } from "./docker-client.ts";
import { isShippedTag } from "./image-store.ts";

const callDeadlineMs = 60_000;
/**
 * What Docker's init and its runtime print, and nothing else, where the kernel cannot execute a program. The init then
 * tries the image's shell, and where there is none that is what it misses.
 */
const notExecutable = /^(?:\[FATAL tini \(\d+\)\] )?(exec .*: (?:exec format error|no such file or directory))\s*$/i;
const longestWords = 1_000;

/**
 * Passes a container's output on and notices where its program could not be executed. That an image is made
 * for another processor is no fault by itself: many machines emulate others.
 */
export class StartFaultFinder implements StepOutput {
  readonly #output: StepOutput;
  #firstWords: string | undefined;

  constructor(output: StepOutput) {
    this.#output = output;
  }

  /** What the init or the runtime said, where it is the first that was printed. */
  get fault(): string | undefined {
    return notExecutable.exec(this.#firstWords ?? "")?.[1];
  }

  write(stream: LogStream, bytes: Buffer): Promise<void> | undefined {
    this.#firstWords ??= bytes.subarray(0, longestWords).toString("latin1");
    return this.#output.write(stream, bytes);
  }
}

/** Why a container's program could not be executed, where its image is made for another platform than the daemon's. */
export async function explainForeignImage(
  docker: DockerClient,
  containerId: string,
  said: string,
): Promise<Reason | undefined> {
  const ask = <T>(call: Promise<T>) => withDeadline(call, callDeadlineMs, "asking Docker for an image's platform");
  const { Config, Image } = await ask(docker.getContainer(containerId).inspect());
  const [image, daemon] = await Promise.all([ask(docker.getImage(Image).inspect()), ask(docker.version())]);
  const [its, own] = [`${image.Os}/${image.Architecture}`, `${daemon.Os}/${daemon.Arch}`];
  if (its === own) return undefined;
  const detail =
    `image ${nameForUsers(Config.Image)} is made for ${its}, and this worker runs ${own} (${said}): make or name one for ${own} ` +
    "(docker build --platform), or use a pool of other workers";
  return { ...reasonFor("image_unavailable", detail), fault: "user" };
}

/** Shipped images have no name that a user would know, but the digest by which the CLI told of them. */
function nameForUsers(image: string): string {
  return isShippedTag(image) || image.startsWith("sha256:") ? shortenDigest(image.replace(/^.*:/, "sha256:")) : image;
}
