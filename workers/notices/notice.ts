import type { DrainCause } from "../drain-cause.ts";
import { spotNoticeMs } from "../drain-plan.ts";
import type { NoticeConfig } from "./notice-config.ts";

/**
 * What somebody says about the future of this machine; times in milliseconds since the epoch. `ends`: it is taken away.
 * `event`: it is rebooted, stopped or worked on. `at_risk`: it may be taken sooner than others. `retire`: it is not wanted
 * any more, and there is no hurry.
 */
export type Notice =
  | { kind: "ends"; detail: string; atMs: number }
  | { kind: "event"; detail: string; atMs: number }
  | { kind: "at_risk"; detail: string }
  | { kind: "retire"; detail: string };

/** What a place where notices are left says. `silent`: nothing to go by, so what it said before still holds. */
export type NoticeReading = { kind: "told"; notices: readonly Notice[] } | { kind: "silent"; why: string };

/** A place where notices are left. Reading never throws, and ends within the deadline where that can be had. */
export interface NoticeSource {
  name: string;
  read(deadlineMs: number): Promise<NoticeReading>;
}

/** What follows from notices. `finish`: no more tasks are taken, and the worker ends when it has none. */
export type NoticePlan =
  | { kind: "go_on" }
  | { kind: "finish"; detail: string; endsAtMs: number }
  | { kind: "drain"; cause: DrainCause };

/** What the most urgent of the notices asks for; pure. */
export function planForNotices(
  notices: readonly Notice[],
  config: Pick<NoticeConfig, "rebalance" | "eventLeadMs">,
  nowMs: number,
): NoticePlan {
  const plans = notices.map((notice) => planForNotice(notice, config, nowMs));
  return (
    plans.filter((plan) => plan.kind === "drain").toSorted((one, other) => endOf(one) - endOf(other))[0] ??
    plans.find((plan) => plan.kind === "finish") ?? { kind: "go_on" }
  );
}

function endOf({ cause }: Extract<NoticePlan, { kind: "drain" }>): number {
  return cause.kind === "interrupted" ? cause.endsAtMs : Number.POSITIVE_INFINITY;
}

function planForNotice(
  notice: Notice,
  { rebalance, eventLeadMs }: Pick<NoticeConfig, "rebalance" | "eventLeadMs">,
  nowMs: number,
): NoticePlan {
  const { kind, detail } = notice;
  const drain = (endsAtMs: number): NoticePlan => {
    return { kind: "drain", cause: { kind: "interrupted", detail, endsAtMs } };
  };
  // From now on the end could be told at any moment, and would then be this far away.
  const earliestEndMs = nowMs + spotNoticeMs;
  switch (kind) {
    case "ends":
      return drain(notice.atMs);
    case "event":
      if (nowMs >= notice.atMs - spotNoticeMs) return drain(notice.atMs);
      return nowMs >= notice.atMs - eventLeadMs ? { kind: "finish", detail, endsAtMs: notice.atMs } : { kind: "go_on" };
    case "at_risk":
      if (rebalance === "ignore") return { kind: "go_on" };
      return rebalance === "drain" ? drain(earliestEndMs) : { kind: "finish", detail, endsAtMs: earliestEndMs };
    case "retire":
      return { kind: "finish", detail, endsAtMs: earliestEndMs };
  }
}
