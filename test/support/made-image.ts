import { randomBytes } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { pack } from "tar-stream";
import { digestOf } from "./saved-image.ts";

/** An image of small layers, different from every other. */
export interface MadeImage {
  /** The digest of the configuration. */
  imageId: string;
  config: Buffer;
  /** Uncompressed, the lowest first. */
  layers: Buffer[];
}

export interface MadeImageOptions {
  /** Layers of another image at the bottom. */
  base?: readonly Buffer[];
  architecture?: string;
  /** Bytes of the one file in the layer on top; they cannot be compressed. */
  bytes?: number;
  /** What its command, `/true`, is; without it there is no such file. */
  program?: Buffer;
}

/** What Docker calls the processor of this machine. */
export const ownArchitecture = process.arch === "x64" ? "amd64" : process.arch;

/** Makes an image of one layer with one file, upon those of another where they are given. */
export async function makeImage(options: MadeImageOptions = {}): Promise<MadeImage> {
  const archive = pack();
  archive.entry({ name: `made-for-tests-${randomBytes(4).toString("hex")}` }, randomBytes(options.bytes ?? 1_000));
  if (options.program !== undefined) archive.entry({ name: "true", mode: 0o755 }, options.program);
  archive.finalize();
  const layers = [...(options.base ?? []), await buffer(archive as unknown as AsyncIterable<Buffer>)];
  const config = Buffer.from(
    JSON.stringify({
      architecture: options.architecture ?? ownArchitecture,
      os: "linux",
      config: { Cmd: ["/true"], Labels: { "sluice.made-for": "tests" } },
      rootfs: { type: "layers", diff_ids: layers.map(digestOf) },
    }),
  );
  return { imageId: digestOf(config), config, layers };
}
