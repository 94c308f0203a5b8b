import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SSMClient } from "@aws-sdk/client-ssm";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { createLocalSecretStore } from "../../shared/clients/local-secret-store.ts";
import type { SecretInfo, SecretStore } from "../../shared/clients/secret-store.ts";
import { createSsmSecretStore } from "../../shared/clients/ssm-secret-store.ts";
import { secretRules } from "../../shared/domain/secret-rules.ts";
import { type Peer, startMoto } from "../support/peers.ts";

const at = "2026-01-05T08:00:00.000Z";

interface Target {
  /** A store with nothing in it; another of the same number has the same content. */
  open(number: number): SecretStore;
  stop(): Promise<void>;
}

async function startLocal(): Promise<Target> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-secrets-"));
  return {
    open: (number) => createLocalSecretStore(join(folder, `${number}`)),
    stop: () => rm(folder, { recursive: true }),
  };
}

async function startSsm(): Promise<Target | undefined> {
  const peer: Peer | undefined = await startMoto();
  if (peer === undefined) return undefined;
  const { endpoint, region, credentials } = peer;
  const client = new SSMClient({ endpoint, region, credentials, maxAttempts: 1 });
  return {
    open: (number) => createSsmSecretStore(client, `/sluice/test-${number}/secrets`),
    async stop() {
      client.destroy();
      await peer.stop();
    },
  };
}

async function listAll(store: SecretStore, limit: number): Promise<SecretInfo[]> {
  const found: SecretInfo[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list({ limit, cursor });
    expect(page.secrets.length).toBeLessThanOrEqual(limit);
    found.push(...page.secrets);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

describe.each([
  { name: "local", start: startLocal },
  { name: "AWS Systems Manager (moto)", start: startSsm },
])("a secret store: $name", ({ name, start }) => {
  let target: Target | undefined;
  let stores = 0;

  beforeAll(async () => {
    target = await start();
  });
  afterAll(() => target?.stop());

  const open = (context: TestContext, number = ++stores): SecretStore => {
    if (target === undefined) return context.skip(`${name} is not installed`);
    return target.open(number);
  };
  const put = (store: SecretStore, secret: string, value: string, by?: string) =>
    store.put({ name: secret, updatedAt: at, ...(by === undefined ? {} : { updatedBy: by }) }, value);

  it("answers the values of the secrets that exist", async (context) => {
    const store = open(context);
    await put(store, "prod/db-password", "hunter2");
    await put(store, "prod/db_password", "other");
    const values = await store.get(["prod/db-password", "prod/db_password", "missing", "prod", "prod/db-password"]);
    expect(Object.fromEntries(values)).toEqual({ "prod/db-password": "hunter2", "prod/db_password": "other" });
    expect((await store.get([])).size).toBe(0);
  });

  it.each([
    ["of one character", "x"],
    ["with line ends and space around it", "\n  -----BEGIN KEY-----\r\nabc\n \n"],
    ["of characters of many bytes", "pässwörd 🔑 \u2028"],
    ["that looks like a template", "{{ssm}} $HOME %s \\n"],
    ["of the greatest length", "k".repeat(secretRules.valueBytes)],
  ])("keeps a value %s as it is", async (_, value) => {
    // Where it is not installed, the other tests say that they were skipped.
    const store = target?.open(++stores);
    if (store === undefined) return;
    await put(store, "a", value);
    expect((await store.get(["a"])).get("a")).toBe(value);
  });

  it("replaces a value, and says when and by whom", async (context) => {
    const store = open(context);
    const before = Date.now();
    await put(store, "a", "old", "anna");
    await put(store, "a", "new", "berta");
    expect((await store.get(["a"])).get("a")).toBe("new");
    const info = await store.describe("a");
    expect(info).toMatchObject({ name: "a", updatedBy: "berta" });
    expect([at, true]).toContain(info?.updatedAt === at ? at : Date.parse(info?.updatedAt ?? "") >= before - 60_000);
    expect(JSON.stringify(info)).not.toContain("new");
  });

  it("tells a secret that is not there from one that is", async (context) => {
    const store = open(context);
    expect(await store.describe("a")).toBeUndefined();
    expect(await store.delete("a")).toBe(false);
    await put(store, "a", "value");
    expect(await store.delete("a")).toBe(true);
    expect(await store.delete("a")).toBe(false);
    expect((await store.get(["a"])).size).toBe(0);
  });

  it("lists everything once, page by page", async (context) => {
    const store = open(context);
    expect(await listAll(store, 10)).toEqual([]);
    const names = Array.from({ length: 25 }, (_, index) => `list/n-${String(index).padStart(2, "0")}`);
    for (const listed of names) await put(store, listed, "value");
    expect((await listAll(store, 10)).map((secret) => secret.name)).toEqual(names);
    expect((await listAll(store, 50)).map((secret) => secret.name)).toEqual(names);
    expect((await store.get(names)).size).toBe(25);
  });

  it("takes every name that a job file may hold, each for itself", async (context) => {
    const store = open(context);
    const names = ["a", "a/", "a//b", "a/b", "a-b", "a_b", "9", `${"a/".repeat(100)}x`, `a${"b".repeat(255)}`];
    for (const secret of names) await put(store, secret, `value of ${secret}`);
    const values = await store.get(names);
    for (const secret of names) expect(values.get(secret)).toBe(`value of ${secret}`);
    expect((await listAll(store, 50)).map((secret) => secret.name)).toEqual([...names].sort());
  });

  it("shows other stores nothing, and the same one everything, also after a restart", async (context) => {
    const store = open(context);
    const number = stores;
    await put(store, "a", "value");
    expect((await open(context).get(["a"])).size).toBe(0);
    expect((await open(context, number).get(["a"])).get("a")).toBe("value");
  });
});

describe("the local store", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-secrets-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function listFiles(): Promise<string[]> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  }

  it("keeps names and values where only their owner reads, and encrypted", async () => {
    const store = createLocalSecretStore(folder);
    await store.put({ name: "prod/db-password", updatedAt: at }, "correct horse battery");
    const files = await listFiles();
    expect(files).toHaveLength(2);
    for (const file of files) {
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      const bytes = await readFile(file);
      for (const text of ["correct horse", "db-password"]) expect(bytes.includes(text)).toBe(false);
      expect(file).not.toContain("db-password");
    }
  });

  it("makes one key, however many ask at once", async () => {
    const names = Array.from({ length: 8 }, (_, index) => `race-${index}`);
    const other = join(folder, "race");
    await Promise.all(names.map((name) => createLocalSecretStore(other).put({ name, updatedAt: at }, name)));
    expect([...(await createLocalSecretStore(other).get(names)).keys()].sort()).toEqual(names);
  });

  it("says so where a file was changed, exchanged or written with another key, and takes a new value", async () => {
    const own = join(folder, "damage");
    const store = createLocalSecretStore(own);
    await store.put({ name: "a", updatedAt: at }, "value of a");
    const [first = ""] = await readdir(join(own, "secrets"));
    await store.put({ name: "b", updatedAt: at }, "value of b");
    const second = (await readdir(join(own, "secrets"))).find((file) => file !== first) ?? "";
    const bytes = await readFile(join(own, "secrets", first));
    await writeFile(join(own, "secrets", second), bytes);
    await expect(store.get(["b"])).rejects.toThrow(/damaged or was written with another key; set it again/);
    await store.put({ name: "b", updatedAt: at }, "new");
    expect((await store.get(["b"])).get("b")).toBe("new");
    await writeFile(join(own, "secrets", first), bytes.subarray(0, 20));
    await expect(store.get(["a"])).rejects.toThrow(/set it again/);
    await writeFile(join(own, "secrets.key"), "short");
    await expect(createLocalSecretStore(own).get(["a"])).rejects.toThrow(/secrets.key is damaged/);
  });

  it("leaves no half of a value behind, whoever writes at the same time", async () => {
    const own = join(folder, "writers");
    const values = Array.from({ length: 20 }, (_, index) => `${index}-`.repeat(500));
    const store = createLocalSecretStore(own);
    await Promise.all(values.map((value) => store.put({ name: "a", updatedAt: at }, value)));
    expect(values).toContain((await store.get(["a"])).get("a"));
    expect(await readdir(join(own, "secrets"))).toHaveLength(1);
  });
});
