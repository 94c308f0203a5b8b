export * from "./fleet-event.ts";
export * from "./job-event.ts";
