import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listSecretForms } from "../../workers/masking/forms.ts";
import { type CliResult, runCli } from "../support/cli.ts";
import { needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { isBundled, type RunningStack, startLocalStack } from "../support/local-stack.ts";
import { searchStored } from "../support/search-stored.ts";

const password = `p@ss w0rd/"${"x9Qz".repeat(8)}"\\é`;
const key = `-----BEGIN KEY-----\n${"MIIBOgIBAAJBAKj34Gkx".repeat(3)}\n${"FhD90vcNLYLInFEX6Ppy".repeat(3)}\n-----END KEY-----\n`;

/** Prints the secret of a variable in every way that a program may. */
const printer = `
const s = process.env.DB_PASSWORD, k = process.env.TLS_KEY, b = (t) => Buffer.from(t);
const out = (t) => process.stdout.write(t + "\\n");
const wrap = (t) => b(t).toString("base64").replace(/.{76}/g, "$&\\n");
out("plain " + s); out("json " + JSON.stringify({ s, nested: JSON.stringify({ s }) }));
for (const before of ["", "u", "us", "usr:"]) out("b64 " + b(before + s + "\\n").toString("base64") + " " + b(before + s + ":p").toString("base64url"));
out("url " + encodeURIComponent(s) + " " + new URLSearchParams({ s }) + " " + encodeURIComponent(s).toLowerCase());
out("hex " + b(s).toString("hex")); out(k); out(wrap(k)); out("one line " + JSON.stringify(k));
for (const line of k.split("\\n")) out("> " + line);
process.stderr.write("error with " + s + "\\n");
const half = b(s).subarray(0, 9), rest = b(s).subarray(9);
out("for " + process.env.SLUICE_JOB);
process.stdout.write(half);
require("node:fs").writeFileSync(process.argv[2], "");
setTimeout(() => { process.stdout.write(rest); out(""); out("the end"); process.exitCode = 7; }, 2500);
`;

let stack: RunningStack;
let folder: string;
const said: string[] = [];

async function sluice(args: readonly string[], input?: string): Promise<CliResult> {
  const result = await runCli(stack, args, input === undefined ? {} : { input });
  said.push(result.stdout, result.stderr);
  return result;
}

async function writeJob(name: string, job: object): Promise<string> {
  const file = join(folder, `${name}.yaml`);
  // JSON is YAML.
  await writeFile(file, JSON.stringify({ name, ...job }));
  return file;
}

beforeAll(async () => {
  [stack, folder] = await Promise.all([startLocalStack({ slots: 2 }), mkdtemp(join(tmpdir(), "sluice-secrets-"))]);
  await sluice(["secrets", "set", "prod/db-password"], `${password}\n`);
  const file = join(folder, "key.pem");
  await writeFile(file, key);
  await sluice(["secrets", "set", "tls-key", "--file", file, "--json"]);
  await rm(file);
});
afterAll(async () => {
  await stack.stop();
  await stack.remove();
  await rm(folder, { recursive: true, force: true });
});

describe("a job with secrets", () => {
  const secrets = { DB_PASSWORD: "prod/db-password", TLS_KEY: "tls-key" };

  it("leaves them nowhere, in whatever form its steps print them", async () => {
    const script = join(folder, "print.cjs");
    const printed = join(folder, "printed");
    await writeFile(script, printer);
    const check = `test "$(printf %s "$DB_PASSWORD" | cksum)" = "$(cat "${folder}/expected")"`;
    await writeFile(join(folder, "value"), password);
    const job = await writeJob("print", {
      secrets,
      steps: [{ run: check }, { command: [process.execPath, script, printed] }],
      tasks: ["unit"],
    });
    const sum = execFileSync("sh", ["-c", 'cksum < "$0"', join(folder, "value")], { encoding: "utf8" });
    await writeFile(join(folder, "expected"), sum);
    const forms = [password, key].flatMap(listSecretForms);
    // Short lines of the key are words of any key.
    const telling = forms.filter((form) => form.length >= 12);
    const running = sluice(["run", job, "--follow"]);
    await eventually(() => existsSync(printed), "everything is printed");
    const seenWhileRunning = await searchStored(stack, telling);
    const run = await running;
    expect(run.stdout).toContain("the end");
    expect(run.stdout).toContain("plain ***");
    expect(run.code).toBe(1);
    const jobId = (/^print-[0-9a-z]{26}/m.exec(run.stdout) ?? [""])[0];
    for (const args of [
      ["logs", jobId, "unit"],
      ["show", jobId, "unit", "--json"],
      ["show", jobId, "--json"],
      ["ps", "--json"],
      ["secrets", "ls", "--json"],
      ["secrets", "ls"],
      ["run", "-n", job],
    ]) {
      await sluice(args);
    }
    const events = await fetch(`${stack.url}/v1/jobs/${jobId}/events`, {
      headers: { authorization: `Bearer ${stack.token}` },
    });
    said.push(await events.text());
    const everything = said.join("\n");
    expect(telling.filter((form) => everything.includes(form))).toEqual([]);
    // What is no secret is found in each of the places, so that nothing is only overlooked.
    const stored = await searchStored(stack, [...telling, jobId]);
    const [places, seen] = [true, false].map((isPublic) => stored.filter((at) => at.endsWith(jobId) === isPublic));
    expect([...seenWhileRunning, ...(seen ?? [])]).toEqual([]);
    for (const place of [/^item of /m, /^object .*step-002/m, /^file cloud\/sqs/m, /^file logs\//m]) {
      expect(places?.join("\n")).toMatch(place);
    }
    expect(everything).not.toContain("MIIBOgIB");
  });

  it.runIf(!isBundled)("gets them in containers too, where the other tasks' are not to be seen", async (context) => {
    await needDocker(context);
    const steps = [
      { image: "busybox:stable", run: 'echo "got $DB_PASSWORD"; touch up; while [ ! -e go ]; do sleep 0.1; done' },
    ];
    const own = await writeJob("own", { secrets, steps, tasks: ["unit"] });
    const other = await writeJob("other", { steps, tasks: ["unit"] });
    const started = await Promise.all([own, other].map((file) => sluice(["run", "--async", file])));
    const [ownId = "", otherId = ""] = started.map(({ stdout }) => stdout.trim());
    const docker = new Docker();
    const inspectAll = async (jobId: string) => {
      const containers = await docker.listContainers({ all: true });
      const inspections = await Promise.all(
        containers.map(({ Id }) =>
          docker
            .getContainer(Id)
            .inspect()
            .catch(() => undefined),
        ),
      );
      return inspections.filter((inspection) => (inspection?.Config.Env ?? []).includes(`SLUICE_JOB=${jobId}`));
    };
    const [ownContainers, otherContainers] = await Promise.all(
      [ownId, otherId].map((jobId) =>
        eventually(async () => await filled(inspectAll(jobId)), `a container of ${jobId}`),
      ),
    );
    expect(JSON.stringify(ownContainers)).toContain("DB_PASSWORD=");
    expect(JSON.stringify(otherContainers)).not.toContain("DB_PASSWORD=");
    expect(JSON.stringify(otherContainers)).not.toContain(JSON.stringify(password).slice(1, -1));
    for (const jobId of [ownId, otherId]) await sluice(["cancel", jobId]);
    expect((await sluice(["watch", ownId])).code).toBe(3);
    const logs = await sluice(["logs", ownId, "unit"]);
    expect(logs.stdout).toContain("got ***");
  });

  it("fails where one is missing, and says which", async () => {
    const job = await writeJob("missing", {
      secrets: { TOKEN: "not/there" },
      steps: [{ run: "touch started" }],
      tasks: ["unit"],
    });
    const run = await sluice(["run", job]);
    expect(run.code).toBe(1);
    expect(run.stdout + run.stderr).toContain("there is no secret not/there");
  });
});

async function filled<T>(items: Promise<T[]>): Promise<T[] | undefined> {
  const found = await items;
  return found.length > 0 ? found : undefined;
}

describe("sluice secrets", () => {
  it("keeps a value out of what it says, and says what would not be masked", async () => {
    expect(await sluice(["secrets", "set", "cli/a", "--json"], "0sh")).toMatchObject({
      code: 0,
      stdout: expect.not.stringContaining("0sh"),
      stderr: expect.stringContaining("will not be masked"),
    });
    expect((await sluice(["secrets", "set", "cli/b", "on-the-line"])).stderr).toContain("other users of this machine");
    expect((await sluice(["secrets", "set", "cli/c"], "")).code).toBe(2);
    expect((await sluice(["secrets", "set", "../a"], "value")).code).toBe(2);
    expect((await sluice(["secrets", "set", "cli/c"], "x".repeat(9000))).stderr).toContain("at most 8192 bytes");
    const listed = JSON.parse((await sluice(["secrets", "ls", "--json"])).stdout) as { secrets: { name: string }[] };
    expect(listed.secrets.map(({ name }) => name).filter((name) => name.startsWith("cli/"))).toEqual([
      "cli/a",
      "cli/b",
    ]);
    expect(await sluice(["secrets", "rm", "cli/a", "cli/b"])).toMatchObject({ code: 0 });
    expect((await sluice(["secrets", "rm", "cli/a"])).code).toBe(5);
  });
});
