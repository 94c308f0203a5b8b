/** What a worker's program is asked to do. */
export type WorkerCommand =
  | { kind: "run" }
  | { kind: "doctor"; json: boolean }
  | { kind: "version" }
  | { kind: "help" }
  | { kind: "unknown"; argument: string };

/** How the program is used. */
export const workerHelp = `sluice-worker            takes tasks of its pool until it is told to stop
sluice-worker doctor     says what is missing for a worker to run here (--json); exits 1 where something is
sluice-worker --version  its version and build
sluice-worker --help     this

It is configured by its environment, or by the file that SLUICE_CONFIG names: see docs/workers.md.
`;

/** Reads the arguments of the program. */
export function parseCommandLine(args: readonly string[]): WorkerCommand {
  const [first, ...rest] = args;
  if (first === undefined) return { kind: "run" };
  if (first === "--version" || first === "version") return { kind: "version" };
  if (first === "--help" || first === "-h" || first === "help") return { kind: "help" };
  const unknown = first === "doctor" ? rest.find((argument) => argument !== "--json") : first;
  if (unknown !== undefined) return { kind: "unknown", argument: unknown };
  return { kind: "doctor", json: rest.includes("--json") };
}
