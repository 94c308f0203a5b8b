import { createByteMemory } from "../shared/byte-memory.ts";
import type { ObjectStore } from "../shared/clients/object-store.ts";
import { graphKey } from "../shared/domain/object-keys.ts";
import { buildTaskGraph, type TaskGraph } from "../shared/domain/task-graph.ts";
import type { TaskSpec } from "../shared/jobfile/job-spec.ts";

/** Reads the graphs of jobs. They never change, so this process remembers those it has read. */
export interface GraphReader {
  /** The graph of a job that has one. */
  get(jobId: string): Promise<TaskGraph>;
}

const rememberedBytes = 32 * 1024 * 1024;
/** Bytes in memory for each byte of JSON, about: every name stands in two maps. */
const bytesPerJsonByte = 3;

export function createGraphReader(objects: ObjectStore): GraphReader {
  const memory = createByteMemory<TaskGraph>(rememberedBytes);
  return {
    async get(jobId) {
      const known = memory.get(jobId);
      if (known) return known;
      const stored = await objects.get(graphKey(jobId));
      if (!stored) throw new Error(`the graph of ${jobId} is gone`);
      const needs = JSON.parse(Buffer.from(stored).toString("utf8")) as [string, string[]][];
      const graph = buildTaskGraph(new Map(needs));
      memory.add(jobId, graph, stored.length * bytesPerJsonByte);
      return graph;
    },
  };
}

/** What a job's graph is kept as; undefined where no task needs another. */
export function serializeGraph(tasks: readonly TaskSpec[]): string | undefined {
  const needs = tasks.flatMap((task) => (task.needs && task.needs.length > 0 ? [[task.name, task.needs]] : []));
  return needs.length > 0 ? JSON.stringify(needs) : undefined;
}
