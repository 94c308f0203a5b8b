import * as z from "zod";
import { parseJson } from "../../shared/parse-json.ts";
import { spotNoticeMs } from "../drain-plan.ts";
import { Imds } from "./imds.ts";
import type { MetadataAnswer } from "./metadata-service.ts";
import type { Notice, NoticeReading, NoticeSource } from "./notice.ts";

const interruptionSchema = z.object({
  action: z.enum(["terminate", "stop", "hibernate"]),
  time: z.string().optional(),
});
const rebalanceSchema = z.object({ noticeTime: z.string() });
const eventsSchema = z.array(
  z.object({
    Code: z.string(),
    NotBefore: z.string(),
    NotAfter: z.string().optional(),
    Description: z.string().optional(),
    State: z.string().optional(),
  }),
);

/** The three kinds of notice that EC2's metadata service gives, each of which is 404 as long as there is none. */
export function createEc2Sources(endpoint: URL, nowMs: () => number): NoticeSource[] {
  const imds = new Imds(endpoint, () => performance.now());
  const source = <T>(name: string, path: string, schema: z.ZodType<T>, toNotices: (told: T) => Notice[]) => ({
    name,
    read: async (deadlineMs: number) => {
      const answer = await imds.read(path, deadlineMs);
      return readAnswer(answer, schema, (told) => toNotices(told).map((notice) => byOwnClock(notice, answer, nowMs())));
    },
  });
  return [
    source("EC2 spot interruptions", "spot/instance-action", interruptionSchema, ({ action, time = "" }) => {
      const toldMs = Date.parse(time);
      // Without a time that makes sense there is as much of it as EC2 promises.
      const atMs = Number.isFinite(toldMs) ? toldMs : nowMs() + spotNoticeMs;
      return [{ kind: "ends", detail: `EC2 spot interruption: ${action} at ${new Date(atMs).toISOString()}`, atMs }];
    }),
    source("EC2 rebalance recommendations", "events/recommendations/rebalance", rebalanceSchema, ({ noticeTime }) => [
      { kind: "at_risk", detail: `EC2 rebalance recommendation of ${noticeTime}` },
    ]),
    source("EC2 scheduled events", "events/maintenance/scheduled", eventsSchema, (events) =>
      events.flatMap((event): Notice[] => {
        const [atMs, untilMs] = [Date.parse(event.NotBefore), Date.parse(event.NotAfter ?? "")];
        // Events that are over stay listed for a while.
        const isOver =
          (event.State ?? "active") !== "active" || /^\[(completed|cancell?ed)\]/i.test(event.Description ?? "");
        if (isOver || !Number.isFinite(atMs) || untilMs < nowMs()) return [];
        return [
          { kind: "event", detail: `EC2 scheduled event: ${event.Code} from ${new Date(atMs).toISOString()}`, atMs },
        ];
      }),
    ),
  ];
}

function readAnswer<T>(
  answer: MetadataAnswer | undefined,
  schema: z.ZodType<T>,
  toNotices: (told: T) => Notice[],
): NoticeReading {
  if (answer === undefined) return { kind: "silent", why: "no answer" };
  if (answer.status === 404) return { kind: "told", notices: [] };
  if (answer.status !== 200) return { kind: "silent", why: `it answered ${answer.status}` };
  const parsed = schema.safeParse(parseJson(answer.text));
  if (!parsed.success) return { kind: "silent", why: "it answered something else than a notice" };
  return { kind: "told", notices: toNotices(parsed.data) };
}

/** A machine whose clock is wrong would think that it has no time left, or all of it: the service's clock is EC2's. */
function byOwnClock(notice: Notice, answer: MetadataAnswer | undefined, nowMs: number): Notice {
  if (answer?.dateMs === undefined || !("atMs" in notice)) return notice;
  return { ...notice, atMs: notice.atMs + nowMs - answer.dateMs };
}
