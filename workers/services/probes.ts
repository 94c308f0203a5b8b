import { request } from "node:http";
import { connect } from "node:net";
import type { HealthSpec } from "../../shared/jobfile/job-spec.ts";
import type { RunningService } from "../executors/executor.ts";
import type { Probe, ProbeResult } from "./health.ts";
import type { TextFinder } from "./text-finder.ts";

const healthy: ProbeResult = { healthy: true };
const maxWordsLength = 300;

/** A service that is asked: how it runs now, and what was found in its output of this start. */
export interface ProbedService {
  name: string;
  running: RunningService;
  finder: TextFinder;
}

/**
 * How a service is asked for its health. Ports are tried from the worker's host at the service's address in the task's
 * network: what listens on the service's own loopback only is not ready for steps either.
 */
export function createProbe(check: HealthSpec["check"], service: ProbedService): Probe {
  switch (check.kind) {
    case "cmd":
      return (signal) => probeCommand(service.running, check.command, signal);
    case "tcp":
      return (signal) => probeTcp(addressOf(service), check.port, signal);
    case "http":
      return (signal) => probeHttp(service, check, signal);
    case "log":
      return async () =>
        service.finder.found.aborted ? healthy : unhealthy(`it has not printed '${clip(check.text)}'`);
  }
}

async function probeCommand(
  running: RunningService,
  command: readonly string[],
  signal: AbortSignal,
): Promise<ProbeResult> {
  const { exitCode, output } = await running.runInside(command, signal);
  if (exitCode === 0) return healthy;
  const words = output.trim().replace(/\s+/g, " ");
  return unhealthy(`${clip(command.join(" "))} ended with ${exitCode}${words === "" ? "" : `: ${clip(words)}`}`);
}

function probeTcp(host: string, port: number, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal });
    const end = (result: ProbeResult) => {
      socket.destroy();
      resolve(result);
    };
    socket.once("connect", () => end(healthy));
    socket.once("error", (error) => end(unhealthy(`no connection to port ${port}: ${error.message}`)));
  });
}

/** Redirects are taken for an answer, not followed: they may lead anywhere. */
function probeHttp(
  service: ProbedService,
  { port, path }: { port: number; path: string },
  signal: AbortSignal,
): Promise<ProbeResult> {
  const host = addressOf(service);
  const headers = { host: `${service.name}:${port}`, connection: "close" };
  return new Promise((resolve) => {
    const sent = request({ host, port, path, signal, headers, agent: false }, (answer) => {
      const status = answer.statusCode ?? 0;
      answer.destroy();
      const isGood = status >= 200 && status < 400;
      resolve(isGood ? healthy : unhealthy(`:${port}${path} answered with status ${status}`));
    });
    sent.once("error", (error) => resolve(unhealthy(`:${port}${path} did not answer: ${error.message}`)));
    sent.end();
  });
}

function addressOf({ running }: ProbedService): string {
  if (running.address === undefined) throw new Error("it has no address in the task's network");
  return running.address;
}

function unhealthy(why: string): ProbeResult {
  return { healthy: false, why };
}

function clip(text: string): string {
  return text.length > maxWordsLength ? `${text.slice(0, maxWordsLength - 1)}…` : text;
}
