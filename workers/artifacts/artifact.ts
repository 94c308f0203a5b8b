import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import type { Artifact } from "../../shared/domain/manifest.ts";
import type { Logger } from "../../shared/log.ts";
import { listOutputFiles, type OutputFile } from "./output-files.ts";
import { createTarArchive } from "./tar-archive.ts";

export interface ArtifactOptions {
  objects: ObjectStore;
  key: string;
  /** What the user's file is called. */
  name: string;
  outputDir: string;
  patterns: readonly string[];
  signal: AbortSignal;
  log: Logger;
}

const contentType = "application/zstd";
const compression = { params: { [constants.ZSTD_c_compressionLevel]: 3 }, chunkSize: 256 * 1024 };

/**
 * Archives a task's output and stores it; undefined where nothing matches. Size and checksum are computed on the way,
 * so nothing is read twice and nothing is kept. Throws where a file cannot be read or the bucket does not take it.
 */
export async function storeArtifact(options: ArtifactOptions): Promise<Artifact | undefined> {
  const files = await listOutputFiles(options.outputDir, options.patterns);
  if (files.length === 0) return undefined;
  const hash = createHash("sha256");
  let size = 0;
  const archive = createArchiveStream(files, options);
  const counted = Readable.from(
    (async function* () {
      for await (const piece of archive as AsyncIterable<Buffer>) {
        hash.update(piece);
        size += piece.length;
        yield piece;
      }
    })(),
    { objectMode: false },
  );
  try {
    await options.objects.putStream(options.key, counted, contentType, options.signal);
  } finally {
    counted.destroy();
    archive.destroy();
  }
  return { key: options.key, name: options.name, size, sha256: hash.digest("hex") };
}

function createArchiveStream(files: readonly OutputFile[], options: ArtifactOptions): Readable {
  const compressor = createZstdCompress(compression);
  const archive = createTarArchive(files, (name) =>
    options.log.warn({ file: name }, "an output file vanished before it was archived"),
  );
  // A failure destroys the compressor, and with it ends whoever reads from it with the same error.
  pipeline(Readable.from(archive), compressor, { signal: options.signal }).catch((error: unknown) =>
    compressor.destroy(error as Error),
  );
  return compressor;
}
