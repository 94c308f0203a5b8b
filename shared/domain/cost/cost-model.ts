import { timing } from "../timing.ts";
import { prices } from "./prices.ts";

/** What one run of `npm run bench -- --cost` counted on the real code. DynamoDB's are units, all others requests. */
export interface MeasuredRequests {
  /** Day of the run. */
  measuredOn: string;
  /** Tasks of the job that the counts are from; each prints a line and leaves no artifact. */
  tasks: number;
  perTask: {
    dynamoDbWriteUnits: number;
    dynamoDbReadUnits: number;
    sqsRequests: number;
    s3Puts: number;
    s3Gets: number;
    /** Calls of the API by the worker, heartbeats left out. */
    apiCalls: number;
  };
  /** One heartbeat of a worker with one attempt. */
  perHeartbeat: { dynamoDbWriteUnits: number; dynamoDbReadUnits: number };
  /** One sweep that finds nothing. */
  perIdleSweep: { dynamoDbReadUnits: number };
}

/** What is not counted but taken to be so; each errs on the dear side. */
export const assumptions = {
  /** Billed time of one call of a function. Only a real account can tell it. */
  lambdaMsPerCall: 60,
  lambdaGb: 0.5,
  /** Calls of the fold: batches are larger while there is much to do. */
  foldCallsPerTask: 1,
  sweepsPerHour: 60,
  /** Lambda asks a dead-letter queue by five pollers, each waiting 20 s at a time. */
  deadLetterPollsPerHour: 5 * 180,
  alarms: 4,
  /** Bytes that the platform logs of one call. */
  logBytesPerCall: 1_500,
  hoursPerMonth: 730,
  /** A follower's look at its job, four a second, and what it reads. */
  looksPerWatchedHour: 4 * 3600,
  readUnitsPerLook: 0.5,
  workerDiskGb: 50,
  instance: "c7g.xlarge" as keyof typeof prices.instanceHour,
} as const;

/** One line of a bill. */
export interface CostItem {
  name: string;
  usd: number;
}

/** What something costs, and what it is made of. */
export interface Cost {
  usd: number;
  items: CostItem[];
}

/** The costs a user asks about, in US dollars. */
export interface CostModel {
  /** A month in which nothing happens. */
  idleMonth: Cost;
  /** A thousand no-op tasks, the machines they run on left out. */
  thousandTasks: Cost;
  /** A worker for an hour, its machine on demand included. */
  workerHour: Cost;
  /** Somebody who watches a job, for an hour. */
  watchedHour: Cost;
}

/** Computes the costs from counts and prices. */
export function modelCosts(measured: MeasuredRequests): CostModel {
  const { perTask, perHeartbeat, perIdleSweep } = measured;
  const sweeps = assumptions.sweepsPerHour * assumptions.hoursPerMonth;
  const polls = assumptions.deadLetterPollsPerHour * assumptions.hoursPerMonth;
  const heartbeats = 3_600_000 / timing.heartbeatMs;
  const receives = 3600 / timing.receiveWaitSeconds;
  const tasks = 1000;
  return {
    idleMonth: sum(
      ["alarms", assumptions.alarms * prices.alarmMonth],
      ["Lambda's polls of the dead-letter queue", polls * prices.sqsRequest],
      ["sweeps: calls by the scheduler", sweeps * prices.schedulerCall],
      ["sweeps: Lambda", sweeps * lambdaCall],
      ["sweeps: reads of the table", sweeps * perIdleSweep.dynamoDbReadUnits * prices.dynamoDbReadUnit],
      ["sweeps: log", sweeps * logOfCall],
    ),
    thousandTasks: sum(
      ["table: writes", tasks * perTask.dynamoDbWriteUnits * prices.dynamoDbWriteUnit],
      ["table: reads", tasks * perTask.dynamoDbReadUnits * prices.dynamoDbReadUnit],
      ["queue", tasks * perTask.sqsRequests * prices.sqsRequest],
      ["bucket", tasks * (perTask.s3Puts * prices.s3Put + perTask.s3Gets * prices.s3Get)],
      ["API: Lambda", tasks * perTask.apiCalls * lambdaCall],
      ["fold: Lambda", tasks * assumptions.foldCallsPerTask * lambdaCall],
      ["log", tasks * (perTask.apiCalls + assumptions.foldCallsPerTask) * logOfCall],
    ),
    workerHour: sum(
      [`${assumptions.instance}, on demand`, prices.instanceHour[assumptions.instance]],
      ["public address", prices.publicAddressHour],
      ["disk", (assumptions.workerDiskGb * prices.gp3GbMonth) / assumptions.hoursPerMonth],
      ["heartbeats: Lambda", heartbeats * lambdaCall],
      [
        "heartbeats: table",
        heartbeats *
          (perHeartbeat.dynamoDbWriteUnits * prices.dynamoDbWriteUnit +
            perHeartbeat.dynamoDbReadUnits * prices.dynamoDbReadUnit),
      ],
      ["heartbeats: log", heartbeats * logOfCall],
      ["waiting for messages", receives * prices.sqsRequest],
    ),
    watchedHour: sum(
      ["Lambda", 3600 * assumptions.lambdaGb * prices.lambdaGbSecond],
      ["table: reads", assumptions.looksPerWatchedHour * assumptions.readUnitsPerLook * prices.dynamoDbReadUnit],
      ["CloudFront", 5 * prices.cloudFrontRequest],
    ),
  };
}

const lambdaCall =
  prices.lambdaRequest + (assumptions.lambdaMsPerCall / 1000) * assumptions.lambdaGb * prices.lambdaGbSecond;
const logOfCall = (assumptions.logBytesPerCall / 1e9) * prices.logGb;

function sum(...lines: readonly (readonly [name: string, usd: number])[]): Cost {
  const items = lines.map(([name, usd]) => ({ name, usd }));
  return { usd: items.reduce((total, { usd }) => total + usd, 0), items };
}

const titles: Record<keyof CostModel, string> = {
  idleMonth: "Idle, per month",
  thousandTasks: "1,000 tasks, without machines",
  workerHour: "One worker, per hour",
  watchedHour: "One watcher, per hour",
};

/** The model as tables in Markdown, for people and for docs/cost.md. */
export function renderCosts(model: CostModel): string {
  return (Object.keys(titles) as (keyof CostModel)[])
    .map((key) => {
      const { usd, items } = model[key];
      const rows = items.map((item) => `| ${item.name} | ${formatUsd(item.usd)} |`);
      return [`| ${titles[key]} | USD |`, "| --- | ---: |", ...rows, `| **together** | **${formatUsd(usd)}** |`].join(
        "\n",
      );
    })
    .join("\n\n");
}

function formatUsd(usd: number): string {
  return usd.toFixed(4);
}
