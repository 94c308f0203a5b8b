import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { Attempt, JobSpecAnswer, Task } from "../../shared/api/schemas.ts";
import { formatBytes, formatDuration } from "../../shared/domain/format.ts";
import { api } from "../api/client.ts";
import type { LogSection } from "../logs/log-model.ts";

/** The logs of an attempt: of its steps and services, as long as they are known to be. Undefined until that is known. */
export function useLogSections(task: Task, attempt: number): readonly LogSection[] | undefined {
  const spec = useQuery({
    queryKey: ["spec", task.job],
    queryFn: ({ signal }) => api.getJobSpec(task.job, { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const record = task.attempts[attempt - 1];
  const isCounted = record?.logs !== undefined;
  const lengths = useQuery({
    queryKey: ["log-lengths", task.job, task.task, attempt],
    queryFn: ({ signal }) => readLengths(task, attempt, spec.data?.spec.steps.length ?? 0, signal),
    enabled: spec.data !== undefined && record !== undefined && !isCounted,
    staleTime: Number.POSITIVE_INFINITY,
  });
  return useMemo(() => {
    if (!spec.data || !record || (!isCounted && !lengths.data)) return undefined;
    return listSections(spec.data, record, lengths.data ?? []);
  }, [spec.data, record, isCounted, lengths.data]);
}

/** How many lines each step of an attempt that has not told has so far. */
async function readLengths(task: Task, attempt: number, steps: number, signal: AbortSignal): Promise<number[]> {
  const lengths: number[] = [];
  for (let step = 1; step <= steps; step++) {
    const { lines } = await api.readLog(task.job, task.task, { attempt, step, tail: 1 }, { signal });
    const last = lines.at(-1);
    lengths.push(last ? last.line + 1 : 0);
    // Steps run in order: behind one that has printed nothing yet there may be others all the same, but no further look
    // is needed once the attempt is there to be followed.
    if (!last && step > 1) break;
  }
  return lengths;
}

function listSections({ spec }: JobSpecAnswer, record: Attempt, lengths: readonly number[]): LogSection[] {
  const last = Math.max(...(record.steps ?? []).filter((step) => step.startedAt).map(({ index }) => index), 1);
  const steps = spec.steps.map((step, index): LogSection => {
    const summary = record.logs?.find((log) => log.step === index + 1);
    return {
      key: String(index + 1),
      title: `Step ${index + 1}: ${step.name}`,
      choice: { step: index + 1 },
      lines: summary?.lines ?? lengths[index] ?? 0,
      folded: record.endedAt !== undefined && index + 1 !== last,
      notes: [...describeStep(record, index + 1), ...describeDropped(summary?.droppedBytes)],
    };
  });
  const services = (record.logs ?? []).flatMap((log): LogSection[] =>
    log.service === undefined
      ? []
      : [
          {
            key: log.service,
            title: `Service ${log.service}`,
            choice: { service: log.service },
            lines: log.lines,
            folded: true,
            notes: describeDropped(log.droppedBytes),
          },
        ],
  );
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
