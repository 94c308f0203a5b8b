import { Tabs } from "@base-ui/react/tabs";
import { getRouteApi } from "@tanstack/react-router";
import { lazy, type ReactNode, Suspense } from "react";
import type { JobView } from "../../shared/api-client/job-view.ts";
import { formatNumber } from "../../shared/domain/format.ts";
import type { JobFeed } from "../api/job-feed.ts";
import { Loading } from "../ui/panel.tsx";
import { EventList } from "./event-list.tsx";
import { ReasonGroups } from "./reason-groups.tsx";
import { TaskMap } from "./task-map.tsx";
import { TaskTable } from "./task-table.tsx";

const route = getRouteApi("/jobs/$job");

const Timeline = lazy(() =>
  import("./timeline/timeline-view.tsx").then(({ TimelineView }) => ({ default: TimelineView })),
);
const JobFile = lazy(() => import("./job-file.tsx").then(({ JobFile }) => ({ default: JobFile })));

const names = ["tasks", "timeline", "events", "file"] as const;
type ViewName = (typeof names)[number];

const labels: Readonly<Record<ViewName, string>> = {
  tasks: "Tasks",
  timeline: "Timeline",
  events: "Events",
  file: "Job file",
};

/** The ways to look at a job; the address says which one. */
export function JobViews({ feed, view }: { feed: JobFeed; view: JobView }) {
  const { view: shown = "tasks" } = route.useSearch();
  const navigate = route.useNavigate();
  const show = (name: ViewName) =>
    void navigate({ search: (before) => ({ ...before, view: name === "tasks" ? undefined : name }) });
  const panels: Record<ViewName, () => ReactNode> = {
    tasks: () => <TasksView feed={feed} view={view} />,
    timeline: () => <Timeline feed={feed} />,
    events: () => <EventList events={feed.events} newest={view.countedSeq} />,
    file: () => <JobFile job={view.job} />,
  };
  return (
    <Tabs.Root value={shown} onValueChange={show}>
      <Tabs.List className="tabs" aria-label="Views of the job" activateOnFocus>
        {names.map((name) => (
          <Tabs.Tab key={name} value={name} className="tab">
            {labels[name]}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {names.map((name) => (
        <Tabs.Panel key={name} value={name} className="tab-panel">
          <Suspense fallback={<Loading what={labels[name].toLowerCase()} />}>{panels[name]()}</Suspense>
        </Tabs.Panel>
      ))}
    </Tabs.Root>
  );
}

function TasksView({ feed, view }: { feed: JobFeed; view: JobView }) {
  const { tasks } = feed;
  return (
    <>
      <TaskMap job={view.job} tasks={tasks} total={view.total} />
      {feed.hasAllTasks ? null : (
        <p className="dim reading" role="status">
          Reading tasks: {formatNumber(view.tasks.size)} of {formatNumber(view.total)}
        </p>
      )}
      <ReasonGroups job={view.job} tasks={tasks} onRetried={feed.resume} />
      <TaskTable view={view} tasks={tasks} />
    </>
  );
}
