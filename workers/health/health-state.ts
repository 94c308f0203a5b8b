/** What of a machine is not well, in a sentence. `tasks`: they fail one after the other, whatever the probes say. */
export interface HealthProblem {
  what: "docker" | "disk" | "memory" | "clock" | "tasks";
  detail: string;
}

/** What the monitor does next: look at the machine, try to mend it and look closely, or look closely once more. */
export type HealthStep = "probe" | "recover" | "verify";

/**
 * The health of a worker's machine:
 * `healthy ─► recovering (attempt n of 3) ─► recovered ─► healthy`, or `recovering ─► recovery_failed`.
 * Tasks are taken while it is healthy or recovered. After `recovery_failed` it is still looked at, slowly, and what
 * holds then is `recovered`. Times are of a clock that only goes forward, in milliseconds.
 */
export interface Health {
  state: "healthy" | "recovering" | "recovered" | "recovery_failed";
  /** Which of the attempts this is, from 1; 0 unless it is recovering. */
  attempt: number;
  /** What it was last not well for; stays told while it is recovered. */
  problem?: HealthProblem;
  /** When the recoveries of the last while began: no success takes one away. */
  recoveriesMs: readonly number[];
  next: { step: HealthStep; atMs: number };
}

/** What happened: how the step came out that was next, or what somebody else saw meanwhile. */
export type HealthEvent =
  | { kind: "passed" }
  /** `passing`: it may end by itself with the tasks that run, such as a disk that they fill. */
  | { kind: "failed"; problem: HealthProblem; passing: boolean }
  /** Something is wrong, without a look. */
  | { kind: "suspected"; problem: HealthProblem }
  /** What was away is back: a look is worth its while now. */
  | { kind: "hinted" };

/** The rhythm of looking and mending. */
export interface HealthTimes {
  probeMs: number;
  /** Before each attempt to mend it. */
  attemptsMs: readonly number[];
  /** Between two looks that both have to be good. */
  verifyMs: number;
  /** Between looks once recovery has failed. */
  slowProbeMs: number;
  /** At most `maxRecoveries` begin within this time. */
  windowMs: number;
  maxRecoveries: number;
}

const maxRecoveries = 3;

/** The times for a rhythm of probes: with one in 30 s, attempts after 5, 10 and 20 s, three recoveries in 15 min. */
export function planHealthTimes(probeMs: number): HealthTimes {
  return {
    probeMs,
    attemptsMs: [probeMs / 6, probeMs / 3, (probeMs * 2) / 3],
    verifyMs: probeMs / 15,
    slowProbeMs: probeMs * 10,
    windowMs: probeMs * 30,
    maxRecoveries,
  };
}

/** What a worker begins with: taken for healthy, and looked at right away. */
export function startHealth(nowMs: number): Health {
  return { state: "healthy", attempt: 0, recoveriesMs: [], next: { step: "probe", atMs: nowMs } };
}

/** Whether a worker of this health may take tasks. */
export function takesTasks({ state }: Health): boolean {
  return state === "healthy" || state === "recovered";
}

/** What an event makes of the health; pure. `random` is between 0 and 1. */
export function advanceHealth(
  health: Health,
  event: HealthEvent,
  clock: { nowMs: number; random: number; times: HealthTimes },
): Health {
  switch (event.kind) {
    case "passed":
      return pass(health, clock);
    case "failed":
      return takesTasks(health) ? fallIll(health, event.problem, clock) : failAgain(health, event, clock);
    case "suspected":
      if (takesTasks(health)) return fallIll(health, event.problem, clock);
      // Two looks show that it is well again; what comes between them shows that it is not.
      return health.next.step === "verify" ? failAgain(health, { ...event, passing: false }, clock) : health;
    case "hinted":
      return hurry(health, clock);
  }
}

type Clock = Parameters<typeof advanceHealth>[2];

function pass(health: Health, { nowMs, times }: Clock): Health {
  const isWell = takesTasks(health);
  if (!isWell && health.next.step !== "verify") return planStep(health, "verify", nowMs + times.verifyMs);
  const { problem, ...rest } = health;
  const well: Health = isWell ? { ...rest, state: "healthy" } : { ...health, state: "recovered", attempt: 0 };
  return planStep(well, "probe", nowMs + times.probeMs);
}

/** One that recovers too often is not mended: it stays down until a slow look finds it well. */
function fallIll(health: Health, problem: HealthProblem, clock: Clock): Health {
  const { nowMs, times } = clock;
  const recoveriesMs = listRecent(health, clock);
  if (recoveriesMs.length >= times.maxRecoveries) {
    const detail = `${problem.detail} (it has recovered ${recoveriesMs.length} times lately, and not for long)`;
    return giveUp({ ...health, recoveriesMs, problem: { ...problem, detail } }, clock);
  }
  const ill: Health = { ...health, state: "recovering", attempt: 1, problem, recoveriesMs: [...recoveriesMs, nowMs] };
  return planAttempt(ill, clock);
}

function failAgain(
  health: Health,
  { problem, passing }: Omit<Extract<HealthEvent, { kind: "failed" }>, "kind">,
  clock: Clock,
): Health {
  const told = { ...health, problem };
  if (health.state === "recovery_failed") return giveUp(told, clock);
  if (passing) return planAttempt(told, clock);
  if (health.attempt >= clock.times.attemptsMs.length) return giveUp(told, clock);
  return planAttempt({ ...told, attempt: health.attempt + 1 }, clock);
}

/** A hint brings the next look forward; where recoveries are used up it is not followed, for what comes and goes gives many. */
function hurry(health: Health, clock: Clock): Health {
  if (takesTasks(health) || health.next.step === "verify") return health;
  const isUsedUp = listRecent(health, clock).length >= clock.times.maxRecoveries;
  if (health.state === "recovery_failed" && isUsedUp) return health;
  return { ...health, next: { ...health.next, atMs: clock.nowMs } };
}

function giveUp(health: Health, { nowMs, times }: Clock): Health {
  return planStep({ ...health, state: "recovery_failed", attempt: 0 }, "probe", nowMs + times.slowProbeMs);
}

/** A fifth more or less: machines that fall ill together do not all knock at the same moment. */
function planAttempt(health: Health, { nowMs, random, times }: Clock): Health {
  const delayMs = times.attemptsMs[health.attempt - 1] ?? times.probeMs;
  return planStep(health, "recover", nowMs + delayMs * (0.8 + random * 0.4));
}

function planStep(health: Health, step: HealthStep, atMs: number): Health {
  return { ...health, next: { step, atMs } };
}

function listRecent({ recoveriesMs }: Health, { nowMs, times }: Clock): readonly number[] {
  return recoveriesMs.filter((beganMs) => nowMs - beganMs < times.windowMs);
}
