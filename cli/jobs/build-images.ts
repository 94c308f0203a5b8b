import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { type BuiltImage, type ImageBuild, listImageBuilds } from "../../shared/jobfile/resolve.ts";
import type { Context } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { formatDuration } from "../terminal/format.ts";
import { oneLine } from "../terminal/one-line.ts";
import { runDocker } from "./docker.ts";
import type { LoadedJob } from "./load-job.ts";
import { createProgress } from "./progress.ts";
import { shipImage } from "./ship-image.ts";

/**
 * Builds the images of a job's dockerfile steps with the docker CLI and ships those that the control plane lacks.
 * Returns the image of each such step by its index. Steps that are built alike share one image.
 */
export async function buildImages(
  context: Context,
  api: ApiClient,
  { job, folder }: LoadedJob,
  signal: AbortSignal,
): Promise<Map<number, BuiltImage>> {
  const images = new Map<number, BuiltImage>();
  const built = new Map<string, BuiltImage>();
  for (const build of listImageBuilds(job)) {
    const { dockerfile, context: buildContext, options } = build;
    const key = JSON.stringify([dockerfile, buildContext, options]);
    const known = built.get(key);
    const image = known ?? (await shipImage(context, api, await buildImage(context, folder, build, signal), signal));
    built.set(key, image);
    images.set(build.stepIndex, image);
  }
  return images;
}

async function buildImage(context: Context, folder: string, build: ImageBuild, signal: AbortSignal): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), "sluice-build-"));
  const progress = createProgress(context, `building ${oneLine(build.dockerfile)}`);
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
  } catch (error) {
    progress.end();
    throw error;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function explainFailure(build: ImageBuild, exitCode: number | null, lastLines: readonly string[]): CliError {
  const text = lastLines.join("\n");
  if (/cannot connect to the docker daemon|error during connect|permission denied.*docker/i.test(text)) {
    const message = "this job builds an image, and Docker does not answer: start it, or name an image instead";
    return new CliError(exitCodes.usage, message, { details: lastLines.map(oneLine).slice(-3) });
  }
  const message = `docker build of ${oneLine(build.dockerfile)} failed with exit code ${exitCode}; its last lines:`;
  return new CliError(exitCodes.usage, message, { details: lastLines.map((line) => `  ${oneLine(line)}`) });
}
