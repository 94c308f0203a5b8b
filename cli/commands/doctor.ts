import type { Finding } from "../../shared/domain/finding.ts";
import { version } from "../../shared/version.ts";
import { type Context, withInterrupt } from "../context.ts";
import { examine, type Probe } from "../doctor/checks.ts";
import { exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";

const probeTimeoutMs = 20_000;
const marks: Record<Finding["status"], string> = { ok: "ok", warning: "warning", failed: "FAILED", skipped: "skipped" };

/** `sluice doctor`: looks at a control plane from outside; exits 1 where something is to be mended. */
export function doctor(context: Context): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const { url, token } = context.target();
    const probe: Probe = async (path) => {
      const response = await fetch(url + path, {
        headers: { accept: "application/json", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
        redirect: "error",
        signal: AbortSignal.any([signal, AbortSignal.timeout(probeTimeoutMs)]),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: parseJson(text) };
    };
    const findings = await examine({ probe, now: Date.now, version, hasToken: token !== undefined });
    const failed = findings.some(({ status }) => status === "failed");
    if (context.json) context.writeJson({ url, healthy: !failed, findings });
    else showFindings(context, url, findings);
    return failed ? exitCodes.failed : exitCodes.completed;
  });
}

function showFindings({ out }: Context, url: string, findings: readonly Finding[]): void {
  out.write(`${oneLine(url)}\n`);
  const width = Math.max(...findings.map(({ check }) => check.length));
  for (const { check, status, detail } of findings) {
    out.write(`  ${check.padEnd(width)}  ${marks[status].padEnd(7)}  ${detail}\n`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
