import { messageOf, untilAborted } from "./retry.ts";

/** How a phase of a drain went; `late`: it was not over by its deadline, and nothing waited for it any longer. */
export type PhaseOutcome = "ok" | "failed" | "late";

/** One line of the table that is logged at the end of a drain; times in milliseconds, counted from its start. */
export interface PhaseRow {
  phase: string;
  startedMs: number;
  ms: number;
  outcome: PhaseOutcome;
  /** How many there were of it, where it was done for several attempts side by side. */
  parts?: number;
  detail?: string;
}

interface Part {
  startedAtMs: number;
  endedAtMs?: number;
  outcome: PhaseOutcome;
  detail?: string | undefined;
}

/**
 * The phases of a drain, side by side. None of them can hold up or break another: whatever a phase does, whoever runs
 * it goes on at its deadline at the latest, and its end is a line of a table.
 */
export class DrainPhases {
  readonly #nowMs: () => number;
  readonly #parts = new Map<string, Part[]>();

  /** `nowMs` is a clock that only goes forward. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * Runs a phase; resolves at its end or when `deadline` is aborted, whichever is first, and never rejects. A text that
   * the work answers says what is wrong with it.
   */
  async run(
    phase: string,
    deadline: AbortSignal,
    work: () => Promise<string | undefined> | Promise<void>,
  ): Promise<void> {
    const part = this.#begin(phase);
    const over = (async () => work())().then(
      (answer) => (typeof answer === "string" ? { problem: answer } : {}),
      (error: unknown) => ({ problem: messageOf(error) }),
    );
    const end: { problem?: string } | undefined = await untilAborted(over, deadline);
    part.endedAtMs = this.#nowMs();
    part.detail = end?.problem;
    if (end !== undefined) part.outcome = end.problem === undefined ? "ok" : "failed";
  }

  /** Notes work that goes on anyway as part of a phase, such as the upload of one attempt. */
  watch(phase: string, deadline: AbortSignal, work: Promise<string | undefined>): void {
    void this.run(phase, deadline, () => work);
  }

  /** The phases so far in the order in which they began. */
  list(startedAtMs: number): PhaseRow[] {
    return [...this.#parts].map(([phase, parts]) => {
      const nowMs = this.#nowMs();
      const begunMs = Math.min(...parts.map((part) => part.startedAtMs));
      const endedMs = Math.max(...parts.map((part) => part.endedAtMs ?? nowMs));
      const worst =
        parts.find(({ outcome }) => outcome === "late") ?? parts.find(({ outcome }) => outcome === "failed");
      const detail = worst?.detail ?? parts.find((part) => part.detail !== undefined)?.detail;
      return {
        phase,
        startedMs: Math.max(0, Math.round(begunMs - startedAtMs)),
        ms: Math.round(endedMs - Math.max(begunMs, startedAtMs)),
        outcome: worst?.outcome ?? "ok",
        ...(parts.length > 1 ? { parts: parts.length } : {}),
        ...(detail === undefined ? {} : { detail }),
      };
    });
  }

  #begin(phase: string): Part {
    // What never ends is late.
    const part: Part = { startedAtMs: this.#nowMs(), outcome: "late" };
    this.#parts.set(phase, [...(this.#parts.get(phase) ?? []), part]);
    return part;
  }
}
