import { createHash } from "node:crypto";
import type { Pack } from "tar-stream";
import type { BlobCache, CachedBlob } from "../../images/blob-cache.ts";
import { type ImageStoreKind, shippedTag } from "./image-store.ts";

/** What an image consists of. */
export interface ImageParts {
  /** The digest of the configuration. */
  imageId: string;
  config: Buffer;
  /** Digests of the layers, the lowest first. */
  layers: readonly string[];
  /** Those layers that are sent, by digest. */
  blobs: ReadonlyMap<string, CachedBlob>;
}

const ociManifest = "application/vnd.oci.image.manifest.v1+json";
const ociConfig = "application/vnd.oci.image.config.v1+json";
const ociLayer = "application/vnd.oci.image.layer.v1.tar";

/** Writes an image in the layout that its daemon reads best, and checks each blob once more on its way. */
export async function writeImageArchive(
  archive: Pack,
  parts: ImageParts,
  options: { store: ImageStoreKind; cache: BlobCache; signal: AbortSignal; onBytes: () => void },
): Promise<void> {
  const { store, cache, ...copying } = options;
  const pathOf = store === "classic" ? classicLayerPath : ociBlobPath;
  for (const [digest, blob] of parts.blobs) {
    await cache.copyTo(blob, archive.entry({ name: pathOf(digest), size: blob.bytes }), copying);
  }
  if (store === "classic") addClassicIndex(archive, parts);
  else addOciIndex(archive, parts);
  archive.finalize();
}

/** The layout of `docker save` before 25, which all versions read; a layer that the daemon has is only named. */
function addClassicIndex(archive: Pack, { imageId, config, layers }: ImageParts): void {
  const name = `${imageId.replace("sha256:", "")}.json`;
  archive.entry({ name }, config);
  const list = [{ Config: name, RepoTags: [shippedTag(imageId)], Layers: layers.map(classicLayerPath) }];
  archive.entry({ name: "manifest.json" }, JSON.stringify(list));
}

/**
 * The layout of OCI, with a manifest over the same configuration and uncompressed layers. A containerd store keeps all
 * of it as it is, so every layer has to be there.
 */
function addOciIndex(archive: Pack, { imageId, config, layers, blobs }: ImageParts): void {
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: ociManifest,
    config: { mediaType: ociConfig, digest: imageId, size: config.length },
    layers: layers.map((digest) => ({ mediaType: ociLayer, digest, size: blobs.get(digest)?.bytes ?? 0 })),
  });
  const manifestDigest = `sha256:${createHash("sha256").update(manifest).digest("hex")}`;
  const annotations = {
    "io.containerd.image.name": `docker.io/library/${shippedTag(imageId)}`,
    "org.opencontainers.image.ref.name": shippedTag(imageId).replace(/^.*:/, ""),
  };
  const described = { mediaType: ociManifest, digest: manifestDigest, size: Buffer.byteLength(manifest), annotations };
  archive.entry({ name: ociBlobPath(imageId) }, config);
  archive.entry({ name: ociBlobPath(manifestDigest) }, manifest);
  archive.entry({ name: "index.json" }, JSON.stringify({ schemaVersion: 2, manifests: [described] }));
  archive.entry({ name: "oci-layout" }, JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

function classicLayerPath(digest: string): string {
  return `${digest.replace("sha256:", "")}/layer.tar`;
}

function ociBlobPath(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}
