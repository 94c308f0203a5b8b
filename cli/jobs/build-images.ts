import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { formatDuration } from "../../shared/domain/format.ts";
import { type BuiltImage, type ImageBuild, listImageBuilds } from "../../shared/jobfile/resolve.ts";
import type { Context } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";
import { runDocker } from "./docker.ts";
import type { LoadedJob } from "./load-job.ts";
import { createProgressBoard, type ProgressBoard } from "./progress.ts";
import { makeScratch, removeLeftovers } from "./scratch.ts";
import { createImageShipper } from "./ship-image.ts";

const parallelBuilds = 3;

/** A build that one or more steps need. */
interface SharedBuild extends ImageBuild {
  /** Their names. */
  steps: string[];
  stepIndexes: number[];
}

/**
 * Builds the images of a job's dockerfile steps with the docker CLI, several at once, and ships those that the control
 * plane lacks while others are still being built. Returns the image of each such step by its index. Steps that are
 * built alike share one image. The first build that fails ends the others.
 */
export async function buildImages(
  context: Context,
  api: ApiClient,
  { job, folder }: LoadedJob,
  outer: AbortSignal,
): Promise<Map<number, BuiltImage>> {
  const builds = shareBuilds(listImageBuilds(job));
  if (builds.length === 0) return new Map();
  await removeLeftovers(tmpdir(), context.runtime.now());
  const failed = new AbortController();
  const signal = AbortSignal.any([outer, failed.signal]);
  const board = createProgressBoard(context);
  const shipper = createImageShipper({ api, board, signal });
  const limit = pLimit(parallelBuilds);
  const images = new Map<number, BuiltImage>();
  const running = builds.map(async (build) => {
    try {
      const localId = await limit(() => buildImage(board, folder, build, signal));
      const image = await shipper.ship(localId, oneLine(build.dockerfile));
      for (const stepIndex of build.stepIndexes) images.set(stepIndex, image);
    } catch (error) {
      failed.abort(error);
    }
  });
  // All of them have cleaned up before anything is said about the first that failed.
  await Promise.all(running);
  signal.throwIfAborted();
  return images;
}

/** Builds that are the same in every word are one. */
function shareBuilds(builds: readonly ImageBuild[]): SharedBuild[] {
  const groups = Map.groupBy(builds, ({ dockerfile, context, options }) =>
    JSON.stringify([dockerfile, context, options]),
  );
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    const steps = group.map(({ stepName }) => stepName);
    return first ? [{ ...first, steps, stepIndexes: group.map(({ stepIndex }) => stepIndex) }] : [];
  });
}

async function buildImage(
  board: ProgressBoard,
  folder: string,
  build: SharedBuild,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  const scratch = await makeScratch(tmpdir(), "build");
  const progress = board.start(`building ${oneLine(build.dockerfile)}`, { saysMuch: true });
  try {
    const idFile = join(scratch, "image-id");
    const args = [
      "build",
      "--iidfile",
      idFile,
      "--force-rm",
      "--file",
      build.dockerfile,
      ...build.options,
      build.context,
    ];
    const { exitCode, lastLines } = await runDocker(args, { folder, signal, onLine: progress.showLine });
    if (exitCode !== 0) throw explainFailure(build, exitCode, lastLines);
    const imageId = (await readFile(idFile, "utf8")).trim();
    progress.end(`built ${oneLine(build.dockerfile)} in ${formatDuration(progress.elapsedMs())}`);
    return imageId;
  } finally {
    progress.end();
    await rm(scratch, { recursive: true, force: true });
  }
}

function explainFailure(build: SharedBuild, exitCode: number | null, lastLines: readonly string[]): CliError {
  const text = lastLines.join("\n");
  if (/cannot connect to the docker daemon|error during connect|permission denied.*docker/i.test(text)) {
    const message = "this job builds an image, and Docker does not answer: start it, or name an image instead";
    return new CliError(exitCodes.usage, message, { details: lastLines.map(oneLine).slice(-3) });
  }
  const forSteps = `for step${build.steps.length === 1 ? "" : "s"} ${build.steps.map(oneLine).join(", ")}`;
  const message = `docker build of ${oneLine(build.dockerfile)} ${forSteps} failed with exit code ${exitCode}; its last lines:`;
  return new CliError(exitCodes.usage, message, { details: lastLines.map((line) => `  ${oneLine(line)}`) });
}
