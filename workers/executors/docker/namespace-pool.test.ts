import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createLogger } from "../../../shared/log.ts";
import type { Namespace } from "./namespace.ts";
import { NamespacePool, type NamespacePoolOptions } from "./namespace-pool.ts";

const never = new AbortController().signal;

function openPool(overrides: Partial<NamespacePoolOptions> = {}) {
  const alive = new Set<Namespace>();
  let made = 0;
  const pool = new NamespacePool({
    create: async () => {
      const namespace = { pauseId: `p${made}`, networkId: `n${made++}`, uses: 0, nameFiles: [] };
      alive.add(namespace);
      return namespace;
    },
    isPassing: (error) => error instanceof Error && error.message === "no networks left",
    remove: async (namespace) => void alive.delete(namespace),
    ready: 2,
    max: 10,
    maxUses: 3,
    log: createLogger("test", { level: "silent" }),
    ...overrides,
  });
  onTestFinished(() => pool.close());
  return { pool, alive, made: () => made };
}

describe("NamespacePool", () => {
  it("keeps namespaces ready and makes another when one is lent", async () => {
    const { pool, alive } = openPool();
    pool.fill();
    await vi.waitFor(() => expect(alive.size).toBe(2));
    await pool.acquire(never);
    await vi.waitFor(() => expect(alive.size).toBe(3));
  });

  it("keeps none ready until it is told otherwise, and makes one for who still needs one", async () => {
    const { pool, alive, made } = openPool();
    pool.fill();
    const lent = await pool.acquire(never);
    await vi.waitFor(() => expect(alive.size).toBe(3));
    pool.keepNoneReady();
    await vi.waitFor(() => expect([...alive]).toEqual([lent]));
    const late = await pool.acquire(never);
    expect(made()).toBe(4);
    pool.release(late, "clean");
    pool.release(lent, "clean");
    await vi.waitFor(() => expect(alive.size).toBe(0));
    expect(made()).toBe(4);
    pool.keepReady();
    await vi.waitFor(() => expect(alive.size).toBe(2));
  });

  it("never lends one to two tasks", async () => {
    const { pool } = openPool();
    const lent = await Promise.all(Array.from({ length: 8 }, () => pool.acquire(never)));
    expect(new Set(lent).size).toBe(8);
  });

  it("makes no more than it may, whoever waits", async () => {
    const { pool, made } = openPool({ max: 3 });
    const lent = await Promise.all(Array.from({ length: 3 }, () => pool.acquire(never)));
    const waiting = pool.acquire(never);
    if (lent[0]) pool.release(lent[0], "clean");
    expect(await waiting).toBe(lent[0]);
    expect(made()).toBe(3);
  });

  it("lends a returned one again, but not more often than allowed, and never a dirty one", async () => {
    const { pool, alive } = openPool({ ready: 0 });
    const first = await pool.acquire(never);
    pool.release(first, "clean");
    expect(await pool.acquire(never)).toBe(first);
    pool.release(first, "clean");
    expect(await pool.acquire(never)).toBe(first);
    pool.release(first, "clean");
    const second = await pool.acquire(never);
    expect(second).not.toBe(first);
    pool.release(second, "dirty");
    await vi.waitFor(() => expect(alive.size).toBe(0));
  });

  it("hands a returned one to who waits, while none can be made", async () => {
    let first = true;
    const { pool } = openPool({
      create: () => {
        if (!first) return Promise.reject(new Error("no networks left"));
        first = false;
        return Promise.resolve({ pauseId: "p", networkId: "n", uses: 0, nameFiles: [] });
      },
    });
    const lent = await pool.acquire(never);
    const waiting = pool.acquire(never);
    pool.release(lent, "clean");
    expect(await waiting).toBe(lent);
  });

  it("tells who waits why none can be made, and forgets who gave up", async () => {
    const { pool } = openPool({ create: () => Promise.reject(new Error("no daemon")) });
    await expect(pool.acquire(never)).rejects.toThrow("no daemon");
    const stop = new AbortController();
    const waiting = pool.acquire(stop.signal);
    stop.abort(new Error("cancelled"));
    await expect(waiting).rejects.toThrow("cancelled");
  });

  it("waits out what passes, and no longer than its patience, with a reason that names it", async () => {
    const exhausted = new Error("no networks left");
    let isExhausted = true;
    const create = () =>
      isExhausted
        ? Promise.reject(exhausted)
        : Promise.resolve({ pauseId: "p", networkId: "n", uses: 0, nameFiles: [] });
    const hasty = openPool({ create, patienceMs: 20 }).pool;
    await expect(hasty.acquire(never)).rejects.toMatchObject({
      reason: {
        code: "internal",
        detail: expect.stringMatching(/^no network became free .*"no networks left"; remove/),
      },
    });
    const { pool } = openPool({ create });
    const waiting = pool.acquire(never);
    isExhausted = false;
    expect(await waiting).toMatchObject({ pauseId: "p" });
  });

  it("leaves nothing when it is closed, also what was being made or is returned late", async () => {
    const { pool, alive } = openPool();
    const lent = await pool.acquire(never);
    await pool.close();
    pool.release(lent, "clean");
    await pool.close();
    expect(alive.size).toBe(0);
  });
});
