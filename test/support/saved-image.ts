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

/**
 * `classic`: one folder a layer; `oci`: blobs by digest, compressed, with Docker's own list beside them; `oci-index`:
 * the same without that list, found by an index of an index that also names how the image was built, as builders that
 * keep their images in containerd write it.
 */
export type SavedLayout = "classic" | "oci" | "oci-index";

/** Puts an image together whose layers hold these contents. */
export async function makeSavedImage(
  contents: readonly (string | Buffer)[],
  layout: SavedLayout = "classic",
): Promise<SavedImage> {
  const layers = contents.map((content) => Buffer.from(content));
  const config = toJson({ os: "linux", rootfs: { type: "layers", diff_ids: layers.map(digestOf) } });
  const files = layout === "classic" ? listClassicFiles(config, layers) : listOciFiles(config, layers, layout);
  const archive = pack();
  for (const [name, content] of files) archive.entry({ name }, content);
  archive.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of archive) pieces.push(piece as Buffer);
  return { archive: Buffer.concat(pieces), imageId: digestOf(config), layers: layers.map(digestOf) };
}

function listClassicFiles(config: Buffer, layers: readonly Buffer[]): [string, Buffer][] {
  const configPath = `${digestOf(config).slice(7)}.json`;
  const layerPaths = layers.map((_, index) => `layer-${index}/layer.tar`);
  return [
    ...layers.flatMap((layer, index): [string, Buffer][] => [
      [`layer-${index}/VERSION`, Buffer.from("1.0")],
      [layerPaths[index] ?? "", layer],
    ]),
    [configPath, config],
    ["manifest.json", toJson([{ Config: configPath, RepoTags: null, Layers: layerPaths }])],
  ];
}

function listOciFiles(config: Buffer, layers: readonly Buffer[], layout: "oci" | "oci-index"): [string, Buffer][] {
  const stored = layers.map((layer) => gzipSync(layer));
  const pathOf = (blob: Buffer) => `blobs/sha256/${digestOf(blob).slice(7)}`;
  const describe = (blob: Buffer, more: object = {}) => ({ digest: digestOf(blob), size: blob.length, ...more });
  const manifest = toJson({ config: describe(config), layers: stored.map((blob) => describe(blob)) });
  const provenance = toJson({ config: describe(Buffer.from("{}")), layers: [] });
  const index = toJson({
    manifests: [
      describe(provenance, { platform: { os: "unknown", architecture: "unknown" } }),
      describe(manifest, { platform: { os: "linux", architecture: "amd64" } }),
    ],
  });
  const list = [{ Config: pathOf(config), RepoTags: null, Layers: stored.map(pathOf) }];
  return [
    ["oci-layout", Buffer.from('{"imageLayoutVersion":"1.0.0"}')],
    ...[...stored, config, manifest, provenance, index].map((blob): [string, Buffer] => [pathOf(blob), blob]),
    ["index.json", toJson({ manifests: [describe(layout === "oci" ? manifest : index)] })],
    ...(layout === "oci" ? [["manifest.json", toJson(list)] as [string, Buffer]] : []),
  ];
}

function toJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** A digest as Docker writes it. */
export function digestOf(content: Buffer): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}
