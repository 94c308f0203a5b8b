import type { ImagePrune, ListedImageBlob } from "../../shared/api/image-schemas.ts";
import { formatAge, formatBytes, plural } from "../../shared/domain/format.ts";
import { limits } from "../../shared/domain/limits.ts";
import { parseSize } from "../../shared/jobfile/units.ts";
import { type Context, withInterrupt } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";
import { type Column, renderTable } from "../terminal/table.ts";

/** Options of `sluice images prune`. */
export interface PruneOptions {
  unusedDays?: number;
  maxSize?: string;
  apply?: boolean;
}

/** `sluice images ls`: the blobs of shipped images, the longest unused first. */
export function listImages(context: Context): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const blobs: ListedImageBlob[] = [];
    for await (const blob of context.api().eachImageBlob({ signal })) blobs.push(blob);
    if (context.json)
      context.writeJson({ blobs: blobs.map(({ digest, bytes, usedAt }) => ({ digest, bytes, usedAt })) });
    else if (blobs.length === 0) context.note("no images yet: a step with a dockerfile ships one");
    else showBlobs(context, blobs);
    return exitCodes.completed;
  });
}

/** `sluice images prune`: removes images that were not used for long, or says what would be removed. */
export function pruneImages(context: Context, options: PruneOptions): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const { unusedDays, apply = false } = options;
    const maxBytes = options.maxSize === undefined ? undefined : readSize(options.maxSize);
    const wish = {
      apply,
      ...(unusedDays === undefined ? {} : { unusedDays }),
      ...(maxBytes === undefined ? {} : { maxBytes }),
    };
    const pruned = await context.api().pruneImages(wish, { signal });
    const { removed } = pruned;
    // One call does what it can in some seconds.
    for (let { more } = pruned; apply && more; ) {
      const next = await context.api().pruneImages(wish, { signal });
      removed.blobs += next.removed.blobs;
      removed.bytes += next.removed.bytes;
      more = next.more && next.removed.blobs > 0;
    }
    if (context.json) context.writeJson({ applied: apply, total: pruned.total, removed });
    else tell(context, pruned);
    return exitCodes.completed;
  });
}

function readSize(text: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined) return bytes;
  throw new CliError(exitCodes.usage, `--max-size takes a size such as 500m or 20g, not '${oneLine(text)}'`);
}

function tell({ out, note, hint }: Context, { applied, total, removed }: ImagePrune): void {
  const what = `${plural(removed.blobs, "blob")} (${formatBytes(removed.bytes)}) of ${plural(total.blobs, "blob")} (${formatBytes(total.bytes)})`;
  out.write(`${applied ? "removed" : "would remove"} ${what}\n`);
  if (!applied && removed.blobs > 0) note(`nothing was removed; to do it: ${hint("images prune --apply")}`);
  if (removed.blobs === 0) note(`images stay for ${limits.imageRetryDays} days after their last use at least`);
}

const columns: readonly Column[] = [
  { heading: "BLOB", shrinkTo: 19 },
  { heading: "SIZE", align: "right" },
  { heading: "USED", align: "right" },
];

function showBlobs({ out, runtime, note }: Context, blobs: readonly ListedImageBlob[]): void {
  const rows = blobs.map(({ digest, bytes, usedAt }) => [
    { text: oneLine(digest) },
    { text: bytes === 0 ? "uploading" : formatBytes(bytes) },
    { text: formatAge(runtime.now() - Date.parse(usedAt)), style: "dim" as const },
  ]);
  out.writeLines(renderTable(columns, rows, { width: out.columns, style: out.style }));
  const sum = blobs.reduce((bytes, blob) => bytes + blob.bytes, 0);
  note(`${plural(blobs.length, "blob")}, ${formatBytes(sum)}`);
}
