import type { MeasuredRequests } from "./cost-model.ts";
import counts from "./measured-requests.json" with { type: "json" };

/** What the last `npm run bench -- --only cost` counted. */
export const measuredRequests: MeasuredRequests = counts;
