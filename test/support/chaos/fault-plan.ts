import type { StackRole } from "./processes.ts";
import { pickBetween, pickWeighted, type Random } from "./random.ts";

/** Something bad that happens to one process of a stack. */
export type PlannedFault = {
  /** Time since the fault before it, in milliseconds. */
  gapMs: number;
  /** Which of the processes of its role, from 0 up to 1. */
  pick: number;
} & ({ kind: "kill"; role: StackRole } | { kind: "pause"; pauseMs: number });

/** What a run does to a stack. */
export interface FaultPlanOptions {
  kills: number;
  /** A worker is stopped (SIGSTOP) for longer than its lease so often. */
  pauses: number;
  leaseMs: number;
  longestGapMs: number;
}

const roles = [
  { item: "worker", weight: 4 },
  { item: "functions", weight: 3 },
  { item: "cloud", weight: 3 },
  { item: "dynamodb", weight: 2 },
] as const;

/** Plans the faults of a run. Pauses come early, since each lasts longer than a lease. */
export function planFaults(random: Random, options: FaultPlanOptions): PlannedFault[] {
  const { kills, pauses, leaseMs, longestGapMs } = options;
  const faults = Array.from({ length: kills }, (): PlannedFault => {
    const gapMs = pickBetween(random, 100, longestGapMs);
    return { kind: "kill", role: pickWeighted(random, roles), gapMs, pick: random() };
  });
  for (let index = 0; index < pauses; index++) {
    const pauseMs = leaseMs + pickBetween(random, 2_000, 8_000);
    const place = Math.floor((index * kills) / pauses);
    faults.splice(place + index, 0, { kind: "pause", pauseMs, gapMs: pickBetween(random, 100, 1_000), pick: random() });
  }
  return faults;
}
