import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { Attempt, JobSpecAnswer, Task } from "../../shared/api/schemas.ts";
import { formatBytes, formatDuration } from "../../shared/domain/format.ts";
import { api } from "../api/client.ts";
import { useSpec } from "../api/use-spec.ts";
import { type LogSection, logKey } from "../logs/log-model.ts";

/** The logs of an attempt as far as they are known. */
interface LogSections {
  /** Of its steps and services, as long as they are known to be; undefined until that is known. */
  sections: readonly LogSection[] | undefined;
  /** Why that is not known. */
  error: Error | undefined;
  refetch: () => void;
}

/** The logs of an attempt, and how long they are. */
export function useLogSections(task: Task, attempt: number): LogSections {
  const spec = useSpec(task.job);
  const record = task.attempts[attempt - 1];
  const isCounted = record?.logs !== undefined;
  const lengths = useQuery({
    // An attempt that ended without telling, such as one whose worker was lost, is looked at once more.
    queryKey: ["log-lengths", task.job, task.task, attempt, record?.endedAt],
    queryFn: ({ signal }) => readLengths({ task, attempt, spec: spec.data }, signal),
    enabled: spec.data !== undefined && record !== undefined && !isCounted,
    placeholderData: keepPreviousData,
    // A page that was in the background did not follow meanwhile.
    refetchOnWindowFocus: "always",
  });
  const sections = useMemo(() => {
    if (!spec.data || !record || (!isCounted && !lengths.data)) return undefined;
    return listSections(spec.data, record, lengths.data ?? new Map());
  }, [spec.data, record, isCounted, lengths.data]);
  const error = spec.error ?? lengths.error ?? undefined;
  return { sections, error, refetch: () => void (spec.error ? spec.refetch() : lengths.refetch()) };
}

/** How many lines each log of an attempt that has not told has so far, by the keys of the logs. */
async function readLengths(
  { task, attempt, spec }: { task: Task; attempt: number; spec: JobSpecAnswer | undefined },
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const { steps = [], services = {} } = spec?.spec ?? {};
  const choices: LogSection["choice"][] = [
    ...steps.map((_, index) => ({ step: index + 1 })),
    ...Object.keys(services).map((service) => ({ service })),
  ];
  const lengths = new Map<string, number>();
  for (const choice of choices) {
    const { lines } = await api.readLog(task.job, task.task, { attempt, ...choice, tail: 1 }, { signal });
    lengths.set(logKey(choice), (lines.at(-1)?.line ?? -1) + 1);
  }
  return lengths;
}

function listSections({ spec }: JobSpecAnswer, record: Attempt, lengths: ReadonlyMap<string, number>): LogSection[] {
  const last = Math.max(...(record.steps ?? []).filter((step) => step.startedAt).map(({ index }) => index), 1);
  const steps = spec.steps.map((step, index): LogSection => {
    const summary = record.logs?.find((log) => log.step === index + 1);
    return {
      key: logKey({ step: index + 1 }),
      title: `Step ${index + 1}: ${step.name}`,
      choice: { step: index + 1 },
      lines: summary?.lines ?? lengths.get(logKey({ step: index + 1 })) ?? 0,
      folded: record.endedAt !== undefined && index + 1 !== last,
      notes: [...describeStep(record, index + 1), ...describeDropped(summary?.droppedBytes)],
    };
  });
  const services = Object.keys(spec.services).map((service): LogSection => {
    const summary = record.logs?.find((log) => log.service === service);
    return {
      key: logKey({ service }),
      title: `Service ${service}`,
      choice: { service },
      lines: summary?.lines ?? lengths.get(logKey({ service })) ?? 0,
      folded: true,
      notes: describeDropped(summary?.droppedBytes),
    };
  });
  return [...steps, ...services];
}

/** How long a step took and how it ended, once its attempt has told. */
function describeStep({ steps, endedAt }: Attempt, index: number): string[] {
  const step = steps?.find((candidate) => candidate.index === index);
  if (!step) return [];
  if (!step.startedAt) return ["did not start"];
  const end = step.endedAt ?? endedAt;
  return [
    ...(end ? [formatDuration(Date.parse(end) - Date.parse(step.startedAt))] : []),
    ...(step.exitCode === undefined ? [] : [`exit ${step.exitCode}`]),
  ];
}

function describeDropped(bytes: number | undefined): string[] {
  return bytes === undefined ? [] : [`${formatBytes(bytes)} beyond its limit were not kept`];
}
