import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * What a fault does to one request.
 *
 * - `throttle`: the service's own "slow down" error, which SDK clients retry with a longer backoff.
 * - `error500`, `error503`: an internal error or an unavailable service; the operation does not take effect.
 * - `reset`: the connection breaks without an answer; the operation does not take effect.
 * - `timeout`: no answer comes (until the client gives up, at most `delayMs`); the operation does not take effect.
 * - `delay`: the operation takes effect `delayMs` later, even if the client has gone by then.
 * - `lost_answer`: the operation takes effect, and the connection breaks where its answer should come.
 */
export const faultKinds = ["throttle", "error500", "error503", "reset", "timeout", "delay", "lost_answer"] as const;
export type FaultKind = (typeof faultKinds)[number];

/** One rule: which operation fails, how, and when. Without a trigger (`probability`, `nth`, `everyNth`) it always fires. */
export type FaultRule = {
  /** The operation's name as the service spells it (`SendMessage`, `PutObject`), or `*` for all. */
  readonly operation: string;
  readonly kind: FaultKind;
  /** Chance from 0 to 1, drawn for each matching request. */
  readonly probability?: number;
  /** Fires only on the nth matching request, counted from 1. */
  readonly nth?: number;
  /** Fires on each nth matching request: the nth, 2nth, and so on. */
  readonly everyNth?: number;
  /** How long `delay` waits and how long `timeout` keeps the connection open, in milliseconds. */
  readonly delayMs?: number;
  /** How many times the rule fires before it is spent. */
  readonly limit?: number;
};

/** Rules in order of precedence: the first one that fires decides. */
export type FaultRules = readonly FaultRule[];

/** The rules together with what they have counted so far; made by `createFaultState`. */
export type FaultState = {
  readonly counters: { readonly rule: FaultRule; seenCount: number; firedCount: number }[];
  readonly random: () => number;
};

/** A decision to disturb one request. */
export type Fault = { readonly operation: string; readonly kind: FaultKind; readonly delayMs: number };

const DEFAULT_DELAY_MS = 1_000;
/** No connection hangs for ever, not even one that is meant to time out. */
const DEFAULT_TIMEOUT_MS = 120_000;

/** Starts counting for a set of rules; `random` (0 up to 1) is a parameter so that a test can replay a seed. */
export function createFaultState(rules: FaultRules = [], random: () => number = Math.random): FaultState {
  return { counters: rules.map((rule) => ({ rule, seenCount: 0, firedCount: 0 })), random };
}

/** Decides whether a request of this operation is disturbed, and counts it for every rule that matches. */
export function decideFault(state: FaultState, operation: string): Fault | undefined {
  let decided: Fault | undefined;
  for (const counter of state.counters) {
    const { rule } = counter;
    if (rule.operation !== "*" && rule.operation !== operation) continue;
    // Every matching rule counts the request, so that "the 3rd SendMessage" means the same whatever the other rules do.
    counter.seenCount += 1;
    if (decided !== undefined || !firesNow(rule, counter, state.random)) continue;
    counter.firedCount += 1;
    decided = { operation, kind: rule.kind, delayMs: rule.delayMs ?? defaultDelayMs(rule.kind) };
  }
  return decided;
}

function firesNow(rule: FaultRule, counter: { seenCount: number; firedCount: number }, random: () => number): boolean {
  if (rule.limit !== undefined && counter.firedCount >= rule.limit) return false;
  if (rule.nth !== undefined && counter.seenCount !== rule.nth) return false;
  if (rule.everyNth !== undefined && counter.seenCount % rule.everyNth !== 0) return false;
  return rule.probability === undefined || random() < rule.probability;
}

function defaultDelayMs(kind: FaultKind): number {
  return kind === "timeout" ? DEFAULT_TIMEOUT_MS : DEFAULT_DELAY_MS;
}

/**
 * Applies a fault to a request. Answers `"continue"` when the server goes on as usual (after a delay, or to an answer
 * that will not arrive), `"answered"` when
 * the response is finished or the connection broken and nothing may be written any more. The error body is JSON for
 * requests of an AWS JSON protocol (they carry `x-amz-target`), XML for all others.
 */
export async function applyFault(
  fault: Fault,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<"continue" | "answered"> {
  switch (fault.kind) {
    case "delay":
      // Not tied to the life of the connection: see FaultKind. Unreferenced, so that a closing process does not wait.
      await sleep(fault.delayMs, undefined, { ref: false });
      return "continue";
    case "lost_answer":
      breakAtAnswer(request, response);
      return "continue";
    case "timeout":
      await waitForClientToLeave(response, fault.delayMs);
      request.socket.destroy();
      return "answered";
    case "reset":
      request.socket.resetAndDestroy();
      return "answered";
    case "throttle":
    case "error500":
    case "error503":
      await writeFaultError(fault.kind, request, response);
      return "answered";
  }
}

/** Every answer begins with its head, also one that is written without asking for it. */
function breakAtAnswer(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead = () => {
    request.socket.resetAndDestroy();
    response.destroy();
    return response;
  };
}

async function waitForClientToLeave(response: ServerResponse, timeoutMs: number): Promise<void> {
  if (response.destroyed) return;
  const left = Promise.withResolvers<void>();
  const timer = setTimeout(() => left.resolve(), timeoutMs);
  timer.unref();
  response.once("close", () => left.resolve());
  await left.promise;
  clearTimeout(timer);
}

type ErrorAnswer = { status: number; code: string; message: string };

const JSON_ERRORS: Record<"throttle" | "error500" | "error503", ErrorAnswer> = {
  throttle: { status: 400, code: "ThrottlingException", message: "Rate exceeded" },
  error500: { status: 500, code: "InternalFailure", message: "The request processing has failed (injected fault)." },
  error503: { status: 503, code: "ServiceUnavailable", message: "The request has failed (injected fault)." },
};

const XML_ERRORS: Record<"throttle" | "error500" | "error503", ErrorAnswer> = {
  throttle: { status: 503, code: "SlowDown", message: "Please reduce your request rate." },
  error500: { status: 500, code: "InternalError", message: "We encountered an internal error (injected fault)." },
  error503: {
    status: 503,
    code: "ServiceUnavailable",
    message: "Service is unable to handle request (injected fault).",
  },
};

async function writeFaultError(
  kind: "throttle" | "error500" | "error503",
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // An answer before the body was read would break the connection under a client that is still sending.
  await drainBody(request);
  const target = request.headers["x-amz-target"];
  const isJson = typeof target === "string";
  const answer = isJson ? JSON_ERRORS[kind] : XML_ERRORS[kind];
  const body = isJson
    ? JSON.stringify({ __type: answer.code, message: answer.message })
    : `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${answer.code}</Code><Message>${answer.message}</Message></Error>`;
  response.writeHead(answer.status, {
    "content-type": isJson ? "application/x-amz-json-1.0" : "application/xml",
    "content-length": Buffer.byteLength(body),
  });
  // A HEAD request gets its status only.
  response.end(request.method === "HEAD" ? undefined : body);
}

async function drainBody(request: IncomingMessage): Promise<void> {
  if (request.readableEnded || request.destroyed) return;
  const drained = Promise.withResolvers<void>();
  request.once("end", () => drained.resolve());
  request.once("close", () => drained.resolve());
  request.resume();
  await drained.promise;
}
