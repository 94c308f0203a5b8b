import { type ChildProcess, spawn } from "node:child_process";
import type { Logger } from "../../../shared/log.ts";

/**
 * Kills process groups when this process is gone, however it died: `kill -9` leaves no other chance. It reads
 * `add GROUP` and `del GROUP` from its standard input, whose end means that nobody is there any more.
 */
const guardianScript = `
trap '' TERM INT HUP
groups=" "
while read -r verb group; do
  case "$verb" in
    add) groups="$groups$group " ;;
    del) case "$groups" in *" $group "*) groups="\${groups%% $group *} \${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -9 "-$group"; done 2>/dev/null
`;

/** The one guardian of a worker; it is started with the first group. */
export class Guardian {
  readonly #log: Logger;
  readonly #groups = new Set<number>();
  #shell: ChildProcess | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The groups under guard. */
  get groups(): ReadonlySet<number> {
    return this.#groups;
  }

  add(group: number): void {
    this.#groups.add(group);
    if (this.#shell === undefined) this.#start();
    else this.#tell(`add ${group}\n`);
  }

  delete(group: number): void {
    this.#groups.delete(group);
    this.#tell(`del ${group}\n`);
  }

  close(): void {
    this.#shell?.stdin?.end();
    this.#shell = undefined;
  }

  #start(): void {
    // A session of its own: a signal to this process's group must not reach it.
    const shell = spawn("/bin/sh", ["-c", guardianScript], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      env: {},
      cwd: "/",
    });
    shell.on("error", (error) => this.#log.warn({ err: error }, "host processes run without a guardian"));
    shell.stdin.on("error", (error) => this.#log.debug({ err: error }, "the guardian is gone"));
    shell.on("exit", () => {
      if (this.#shell === shell) this.#shell = undefined;
    });
    // It must not keep this process alive.
    shell.unref();
    if ("unref" in shell.stdin && typeof shell.stdin.unref === "function") shell.stdin.unref();
    this.#shell = shell;
    for (const group of this.#groups) this.#tell(`add ${group}\n`);
  }

  #tell(line: string): void {
    if (this.#shell?.stdin?.writable) this.#shell.stdin.write(line);
  }
}
