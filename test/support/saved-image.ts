import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";

/** An image as `docker save` writes it, and what it consists of. */
export interface SavedImage {
  archive: Buffer;
  imageId: string;
  /** Digests of the uncompressed layers, the lowest first. */
  layers: string[];
}

/** Puts an image together whose layers hold these texts: in the old layout, or in that of OCI with compressed layers. */
export async function makeSavedImage(
  contents: readonly string[],
  layout: "classic" | "oci" = "classic",
): Promise<SavedImage> {
  const layers = contents.map((text) => Buffer.from(text));
  const config = Buffer.from(
    JSON.stringify({ os: "linux", rootfs: { type: "layers", diff_ids: layers.map(digestOf) } }),
  );
  const isOci = layout === "oci";
  const stored = layers.map((layer) => (isOci ? gzipSync(layer) : layer));
  const pathOf = (blob: Buffer, classicName: string) =>
    isOci ? `blobs/sha256/${digestOf(blob).slice(7)}` : classicName;
  const configPath = pathOf(config, `${digestOf(config).slice(7)}.json`);
  const layerPaths = stored.map((blob, index) => pathOf(blob, `layer-${index}/layer.tar`));
  const archive = pack();
  if (isOci) archive.entry({ name: "oci-layout" }, '{"imageLayoutVersion":"1.0.0"}');
  for (const [index, blob] of stored.entries()) {
    if (!isOci) archive.entry({ name: `layer-${index}`, type: "directory" });
    if (!isOci) archive.entry({ name: `layer-${index}/VERSION` }, "1.0");
    archive.entry({ name: layerPaths[index] ?? "" }, blob);
  }
  archive.entry({ name: configPath }, config);
  archive.entry(
    { name: "manifest.json" },
    JSON.stringify([{ Config: configPath, RepoTags: null, Layers: layerPaths }]),
  );
  archive.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of archive) pieces.push(piece as Buffer);
  return { archive: Buffer.concat(pieces), imageId: digestOf(config), layers: layers.map(digestOf) };
}

/** A digest as Docker writes it. */
export function digestOf(content: Buffer): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}
