import type { FunctionName } from "../shared/infrastructure/functions.ts";
import { functionLimits } from "../shared/infrastructure/functions.ts";
import { failuresQueue, queueNames } from "../shared/infrastructure/queues.ts";
import { functionName } from "./function.ts";
import { poolNames } from "./pools.ts";
import type { Stage } from "./stage.ts";

/** A minute's sweep and twenty tries later something is wrong. */
const streamLagMs = 5 * 60_000;

interface Alarm {
  name: string;
  description: string;
  namespace: string;
  metric: string;
  statistic: "Sum" | "Maximum";
  dimensions: Record<string, string>;
  /** It rings above this. */
  threshold: number;
  periods?: number;
}

/**
 * Few alarms, each a fact that a person must act on. They tell a topic that nobody is subscribed to at first (see
 * docs/deploy.md), and CloudWatch's own list.
 */
export function createAlarms(stage: Stage): void {
  const topic = new aws.sns.Topic("Alarms", { name: `sluice-${stage.name}-alarms` });
  for (const alarm of listAlarms(stage)) {
    new aws.cloudwatch.MetricAlarm(`Alarm${alarm.name}`, {
      name: `sluice-${stage.name}-${alarm.name}`,
      alarmDescription: alarm.description,
      namespace: alarm.namespace,
      metricName: alarm.metric,
      statistic: alarm.statistic,
      dimensions: alarm.dimensions,
      period: 60,
      evaluationPeriods: alarm.periods ?? 1,
      comparisonOperator: "GreaterThanThreshold",
      threshold: alarm.threshold,
      treatMissingData: "notBreaching",
      alarmActions: [topic.arn],
      okActions: [topic.arn],
    });
  }
}

function listAlarms(stage: Stage): Alarm[] {
  return [
    ...poolNames.map(
      (pool): Alarm => ({
        name: `dead-letters-${pool}`,
        description: `Messages of the pool ${pool} were received too often and are dead letters: their tasks have failed.`,
        namespace: "AWS/SQS",
        // Taken at once by a function: hardly ever visible, but received.
        metric: "NumberOfMessagesReceived",
        statistic: "Sum",
        dimensions: { QueueName: queueNames(stage.name, pool).deadLetterQueue },
        threshold: 0,
      }),
    ),
    {
      name: "failures",
      description: "A function could not handle something: the queue of failures holds what it was.",
      namespace: "AWS/SQS",
      metric: "ApproximateNumberOfMessagesVisible",
      statistic: "Maximum",
      dimensions: { QueueName: failuresQueue.name(stage.name) },
      threshold: 0,
    },
    {
      name: "fold-behind",
      description: "Counts and events lag behind the tasks: the fold fails or is throttled.",
      namespace: "AWS/Lambda",
      metric: "IteratorAge",
      statistic: "Maximum",
      dimensions: { FunctionName: functionName(stage, "fold") },
      threshold: streamLagMs,
      periods: 3,
    },
    {
      name: "api-errors",
      description: "The API answers with server errors.",
      namespace: "AWS/Lambda",
      metric: "Url5xxCount",
      statistic: "Sum",
      dimensions: { FunctionName: functionName(stage, "api") },
      threshold: 5,
      periods: 3,
    },
  ];
}

/** One page that tells how the stage is: work waiting, functions, the table, what is put aside. */
export function createDashboard(stage: Stage, table: sst.aws.Dynamo): void {
  const { region } = aws.getRegionOutput();
  new aws.cloudwatch.Dashboard("Dashboard", {
    dashboardName: `sluice-${stage.name}`,
    dashboardBody: $resolve([region, table.name]).apply(([regionName, tableName]) =>
      JSON.stringify({ widgets: listWidgets(stage, regionName, tableName) }),
    ),
  });
}

function listWidgets(stage: Stage, region: string, tableName: string) {
  const names = Object.keys(functionLimits) as FunctionName[];
  const ofFunctions = (metric: string) =>
    names.map((name) => ["AWS/Lambda", metric, "FunctionName", functionName(stage, name)]);
  const ofQueues = (metric: string) => [
    ...poolNames.map((pool) => ["AWS/SQS", metric, "QueueName", queueNames(stage.name, pool).queue]),
    ...poolNames.map((pool) => ["AWS/SQS", metric, "QueueName", queueNames(stage.name, pool).deadLetterQueue]),
    ["AWS/SQS", metric, "QueueName", failuresQueue.name(stage.name)],
  ];
  const charts = [
    { title: "Messages waiting", stat: "Maximum", metrics: ofQueues("ApproximateNumberOfMessagesVisible") },
    { title: "Age of the oldest message (s)", stat: "Maximum", metrics: ofQueues("ApproximateAgeOfOldestMessage") },
    { title: "Calls", stat: "Sum", metrics: ofFunctions("Invocations") },
    { title: "Errors", stat: "Sum", metrics: ofFunctions("Errors") },
    { title: "Duration, 99th percentile (ms)", stat: "p99", metrics: ofFunctions("Duration") },
    { title: "Throttles", stat: "Sum", metrics: ofFunctions("Throttles") },
    {
      title: "Stream lag (ms)",
      stat: "Maximum",
      metrics: (["fold", "chores"] as const).map((name) => [
        "AWS/Lambda",
        "IteratorAge",
        "FunctionName",
        functionName(stage, name),
      ]),
    },
    {
      title: "Table: units used",
      stat: "Sum",
      metrics: ["ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"].map((metric) => [
        "AWS/DynamoDB",
        metric,
        "TableName",
        tableName,
      ]),
    },
  ];
  return charts.map(({ title, stat, metrics }, index) => ({
    type: "metric",
    x: (index % 2) * 12,
    y: Math.floor(index / 2) * 6,
    width: 12,
    height: 6,
    properties: { title, stat, metrics, region, period: 60, view: "timeSeries" },
  }));
}
