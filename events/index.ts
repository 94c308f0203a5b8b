export * from "./job-event.ts";
