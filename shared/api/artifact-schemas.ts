import * as z from "zod";
import { memberKinds } from "../domain/artifact-list.ts";
import { artifactSchema } from "../domain/manifest.ts";
import { taskStates } from "../domain/task-state.ts";

/** An artifact as it is shown. `listed`: how many of its members are listed; absent where there is no list. */
export const shownArtifactSchema = artifactSchema
  .omit({ key: true, list: true })
  .extend({ listed: z.number().int().nonnegative().optional() });
export type ShownArtifact = z.infer<typeof shownArtifactSchema>;

/** An artifact with a link to fetch it by. */
const linkedArtifactSchema = shownArtifactSchema.extend({ url: z.string(), expiresAt: z.string() });

/** The artifacts of an attempt. */
export const artifactListSchema = z
  .object({
    attempt: z.number().int(),
    /** Of the task: where it is running, what it has written so far can be asked for. */
    status: z.enum(taskStates),
    artifacts: z.array(linkedArtifactSchema),
    /** Those whose time is over (`keptUntil`): there are no links to them. */
    expired: z.array(shownArtifactSchema),
  })
  .meta({ id: "ArtifactList" });
export type ArtifactList = z.infer<typeof artifactListSchema>;

/** Something in an artifact. Paths are relative to the task's output; bytes that are no UTF-8 stand there as `\xNN`. */
const artifactFileSchema = z.object({
  path: z.string(),
  kind: z.enum(memberKinds),
  size: z.number(),
  /** Permission bits; absent of a folder that is none of the artifact's members, only on the way to them. */
  mode: z.number().int().optional(),
  mtime: z.string().optional(),
  /** Where a link leads. */
  target: z.string().optional(),
  /** Of a folder, where a folder was asked for: files below it, and their bytes. */
  files: z.number().int().optional(),
  bytes: z.number().optional(),
});
export type ArtifactFile = z.infer<typeof artifactFileSchema>;

/** A page of what is in an artifact. */
export const artifactFilePageSchema = z
  .object({
    attempt: z.number().int(),
    name: z.string(),
    /** All that is in it. */
    content: z.object({ members: z.number().int(), files: z.number().int(), bytes: z.number() }),
    /** How many of its members are listed: fewer where there are too many. */
    listed: z.number().int(),
    files: z.array(artifactFileSchema),
    cursor: z.string().optional(),
  })
  .meta({ id: "ArtifactFilePage" });
export type ArtifactFilePage = z.infer<typeof artifactFilePageSchema>;

/** A request for what a running task has written so far. What is not stored at `until` will not be. */
export const liveRequestedSchema = z
  .object({ id: z.string(), attempt: z.number().int(), until: z.string() })
  .meta({ id: "LiveRequested" });
export type LiveRequested = z.infer<typeof liveRequestedSchema>;

/**
 * How far such a request has come: `empty` = the task has written nothing yet, `ended` = its attempt is over, fetch its
 * artifact, `failed` and `lost` = it cannot be had, see `detail`.
 */
export const liveArtifactSchema = z
  .discriminatedUnion("status", [
    z.object({ status: z.literal("pending") }),
    z.object({ status: z.literal("stored"), at: z.string(), artifact: linkedArtifactSchema }),
    z.object({ status: z.literal("empty"), at: z.string() }),
    z.object({ status: z.literal("ended") }),
    z.object({ status: z.literal("failed"), at: z.string(), detail: z.string() }),
    z.object({ status: z.literal("lost"), detail: z.string() }),
  ])
  .meta({ id: "LiveArtifact" });
export type LiveArtifact = z.infer<typeof liveArtifactSchema>;
