import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { zstdCompress } from "node:zlib";
import { isPassingFault, type ObjectStore } from "../../shared/clients/object-store.ts";
import type { Artifact } from "../../shared/domain/manifest.ts";
import { retentionTags } from "../../shared/domain/retention.ts";
import { retryWithBackoff } from "../retry.ts";
import { compress } from "./compress.ts";
import { MemberList } from "./member-list.ts";
import { type OutputEntry, walkOutput } from "./output-files.ts";
import { type OutputProblem, tellProblems } from "./output-problem.ts";
import type { OutputPatterns } from "./output-selector.ts";
import { createTarArchive } from "./tar-archive.ts";

export interface ArtifactOptions {
  objects: ObjectStore;
  key: string;
  /** Where what is in it is listed; without it, it is not. */
  listKey?: string | undefined;
  /** What the user's file is called. */
  name: string;
  outputDir: string;
  patterns: OutputPatterns;
  /** How long it is to be kept, in milliseconds; without it, as long as the bucket keeps what jobs leave. */
  keepMs?: number | undefined;
  /** Takes secrets out of what is told of the output's names. */
  mask: (text: string) => string;
  /** What came in the way of the list; the artifact stands without it. */
  onUnlisted?: ((error: Error) => void) | undefined;
  signal: AbortSignal;
}

/** What was stored, absent where nothing of the output is named, and what of it is missing there. */
export interface StoredArtifact {
  artifact?: Artifact;
  problems: OutputProblem[];
}

const contentType = "application/zstd";
/** How long the bucket may fail while the list is stored. */
const listPatienceMs = 10_000;
const compressList = promisify(zstdCompress);

/**
 * Archives a task's output and stores it. Size and checksum are computed on the way, so nothing is read twice and
 * nothing is kept. Throws where the bucket does not take it, or the output folder is none.
 */
export async function storeArtifact(options: ArtifactOptions): Promise<StoredArtifact> {
  const { outputDir, patterns, signal } = options;
  const problems: OutputProblem[] = [];
  const note = (problem: OutputProblem) => void problems.push(problem);
  const entries = walkOutput(outputDir, patterns, note);
  const first = await entries.next();
  if (first.done) return { problems };
  // The bucket, too, counts from the beginning of an upload.
  const keptUntil = options.keepMs === undefined ? undefined : new Date(Date.now() + options.keepMs).toISOString();
  const hash = createHash("sha256");
  let size = 0;
  const members = new MemberList(options.listKey === undefined ? undefined : options.mask);
  const pieces = compress(createTarArchive(resume(first.value, entries), note, (member) => members.add(member)));
  const body = Readable.from(
    (async function* () {
      for await (const piece of pieces) {
        signal.throwIfAborted();
        hash.update(piece);
        size += piece.length;
        yield piece;
      }
    })(),
    { objectMode: false },
  );
  try {
    await options.objects.putStream(options.key, body, { contentType, tags: retentionTags(options.keepMs), signal });
  } finally {
    body.destroy();
    // Closes what is open: the upload may have ended before the archive.
    await pieces.return(undefined);
    await entries.return(undefined);
  }
  const list = await storeList(options, members);
  const incomplete = tellProblems(problems);
  const artifact = {
    key: options.key,
    name: options.name,
    size,
    sha256: hash.digest("hex"),
    ...(keptUntil === undefined ? {} : { keptUntil }),
    ...(incomplete === undefined ? {} : { incomplete: options.mask(incomplete) }),
    content: members.content,
    ...(list === undefined ? {} : { list }),
  };
  return { artifact, problems };
}

/** Stores the list, after what it lists. That it is missing is no reason to lose the artifact, or to pack it again. */
async function storeList(options: ArtifactOptions, members: MemberList): Promise<Artifact["list"]> {
  const { listKey: key, objects, keepMs, signal, onUnlisted } = options;
  if (key === undefined) return undefined;
  try {
    const text = members.takeText();
    const packed = await compressList(text);
    const settings = { contentType, tags: retentionTags(keepMs), signal };
    await retryWithBackoff(() => objects.putStream(key, Readable.from([packed], { objectMode: false }), settings), {
      signal,
      maxElapsedMs: listPatienceMs,
      isRetryable: isPassingFault,
    });
    const sha256 = createHash("sha256").update(packed).digest("hex");
    return { key, size: packed.length, sha256, members: members.listed };
  } catch (error) {
    onUnlisted?.(error instanceof Error ? error : new Error(String(error)));
    return undefined;
  }
}

async function* resume(first: OutputEntry, rest: AsyncGenerator<OutputEntry>): AsyncGenerator<OutputEntry> {
  yield first;
  yield* rest;
}
