import {
  createRootRoute,
  createRoute,
  createRouter,
  type ErrorComponentProps,
  lazyRouteComponent,
} from "@tanstack/react-router";
import * as z from "zod/mini";
import { jobStates } from "../../shared/domain/job-state.ts";
import { taskStates } from "../../shared/domain/task-state.ts";
import { workerStates } from "../../shared/domain/worker-state.ts";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { NotFound } from "./not-found.tsx";
import { Shell } from "./shell.tsx";

/** What stands where a page could not be loaded or drawn; the console may have been built anew meanwhile. */
function BrokenPage({ error: thrown }: ErrorComponentProps) {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return <ErrorPanel title="This page could not be shown" error={error} onRetry={() => window.location.reload()} />;
}

/** A text in an address; what looks like a number there is read as one. */
const text = z.catch(z.optional(z.pipe(z.union([z.string(), z.number()]), z.transform(String))), undefined);

/** What an address says beyond its path; what it cannot say is left out. */
const jobsSearch = z.object({
  status: z.catch(z.optional(z.enum(jobStates)), undefined),
  search: text,
  by: text,
  within: z.catch(z.optional(z.enum(["1h", "24h", "7d"])), undefined),
});
const jobSearch = z.object({
  view: z.catch(z.optional(z.enum(["tasks", "timeline", "events", "file"])), undefined),
  group: text,
  status: z.catch(z.optional(z.enum(taskStates)), undefined),
  find: text,
});
const taskSearch = z.object({
  attempt: z.catch(z.optional(z.int()), undefined),
  line: text,
});

const workersSearch = z.object({
  pool: text,
  state: z.catch(z.optional(z.enum(workerStates)), undefined),
  find: text,
});

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: lazyRouteComponent(() => import("../overview/overview-page.tsx"), "OverviewPage"),
});

const jobs = createRoute({
  getParentRoute: () => root,
  path: "/jobs",
  validateSearch: (search) => z.parse(jobsSearch, search),
  component: lazyRouteComponent(() => import("../jobs/jobs-page.tsx"), "JobsPage"),
});

const job = createRoute({
  getParentRoute: () => root,
  path: "/jobs/$job",
  validateSearch: (search) => z.parse(jobSearch, search),
  component: lazyRouteComponent(() => import("../job/job-page.tsx"), "JobPage"),
});

const task = createRoute({
  getParentRoute: () => root,
  path: "/jobs/$job/tasks/$task",
  validateSearch: (search) => z.parse(taskSearch, search),
  component: lazyRouteComponent(() => import("../task/task-page.tsx"), "TaskPage"),
});

const workers = createRoute({
  getParentRoute: () => root,
  path: "/workers",
  validateSearch: (search) => z.parse(workersSearch, search),
  component: lazyRouteComponent(() => import("../workers/workers-page.tsx"), "WorkersPage"),
});

const worker = createRoute({
  getParentRoute: () => root,
  path: "/workers/$worker",
  component: lazyRouteComponent(() => import("../workers/worker-page.tsx"), "WorkerPage"),
});

/** The pages of the console by their paths. */
export const router = createRouter({
  routeTree: root.addChildren([home, jobs, job, task, workers, worker]),
  defaultPreload: "intent",
  defaultErrorComponent: BrokenPage,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
