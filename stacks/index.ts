import { isVersion } from "../shared/domain/version-order.ts";
import { parseLimits, pickLimitVariables } from "../shared/infrastructure/limit-settings.ts";
import { createBucket } from "./bucket.ts";
import { createDeadLetterConsumer, createStreamConsumers } from "./consumers.ts";
import { parseEcrRepositories } from "./ecr-repositories.ts";
import { createFleetBase } from "./fleet.ts";
import { createFront } from "./front.ts";
import { createFunction, type FunctionSurroundings } from "./function.ts";
import { createLinks } from "./links.ts";
import { createAlarms, createDashboard } from "./monitoring.ts";
import { createNetwork } from "./network.ts";
import { createFailuresQueue, createPools } from "./pools.ts";
import { createSchedules } from "./schedules.ts";
import { describeStage } from "./stage.ts";
import { createTable } from "./table.ts";
import { createFirstTokens } from "./tokens.ts";

/** What the environment of the deployment sets for the functions. What cannot be used ends it before it begins. */
function readSettings(env: NodeJS.ProcessEnv): Record<string, string> {
  const parsed = parseLimits(env);
  if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
  const { SLUICE_REQUIRED_WORKER_VERSION } = env;
  if (!SLUICE_REQUIRED_WORKER_VERSION) return pickLimitVariables(env);
  if (!isVersion(SLUICE_REQUIRED_WORKER_VERSION))
    throw new Error("SLUICE_REQUIRED_WORKER_VERSION is a version such as 1.4.0");
  return { ...pickLimitVariables(env), SLUICE_REQUIRED_WORKER_VERSION };
}

/** Everything a stage consists of; the answer is what `sst deploy` prints at its end. */
export function deploy() {
  const stage = describeStage($app.stage);
  const ecrRepositories = parseEcrRepositories(process.env.SLUICE_ECR_REPOSITORIES);
  const table = createTable(stage);
  const bucket = createBucket(stage);
  const failures = createFailuresQueue(stage);
  const pools = createPools(stage, failures);
  const surroundings: FunctionSurroundings = {
    stage,
    environment: readSettings(process.env),
    tracing: process.env.SLUICE_TRACING === "1",
    links: createLinks(stage, { table, bucket, pools }),
    table,
    bucket,
    pools,
    failures,
  };
  const api = createFunction(surroundings, "api", { handler: "functions/api/main.handler", hasStreamingUrl: true });
  createStreamConsumers(surroundings);
  createDeadLetterConsumer(surroundings);
  createSchedules(surroundings);
  const front = createFront(api);
  const tokens = createFirstTokens(stage, table);
  const network = createNetwork();
  const fleet = createFleetBase(stage, { network, bucket, pools, ecrRepositories });
  createAlarms(stage);
  if (stage.hasDashboard) createDashboard(stage, table);
  return {
    url: front.url,
    console: front.hasConsole ? front.url : "(not built)",
    api: api.url,
    adminToken: tokens.admin.parameterName,
    workerToken: tokens.worker.parameterName,
    table: table.name,
    bucket: bucket.name,
    queues: Object.fromEntries(pools.map(({ name, queue }) => [name, queue.url])),
    ecrRepositories,
    subnets: network.subnetIds,
    launchTemplates: Object.fromEntries(fleet.map(({ pool, launchTemplates }) => [pool, launchTemplates])),
  };
}
