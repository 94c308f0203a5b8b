import { getRouteApi } from "@tanstack/react-router";
import type { Task } from "../../shared/api/schemas.ts";
import { isLogEndLost } from "../../shared/domain/lost-log.ts";
import { LogView } from "../logs/log-view.tsx";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { Loading } from "../ui/panel.tsx";
import { useLogSections } from "./use-log-sections.ts";

const route = getRouteApi("/jobs/$job/tasks/$task");

/** The logs of an attempt; the address names the line that is looked at. */
export function TaskLogs({ task, attempt }: { task: Task; attempt: number }) {
  const { line } = route.useSearch();
  const navigate = route.useNavigate();
  const { sections, error, refetch } = useLogSections(task, attempt);
  const record = task.attempts[attempt - 1];
  if (!sections && error) return <ErrorPanel title="The logs could not be read" error={error} onRetry={refetch} />;
  if (!sections) return <Loading what="the logs" />;
  return (
    <LogView
      job={task.job}
      task={task.task}
      attempt={attempt}
      sections={sections}
      isRunning={record?.endedAt === undefined}
      isEndLost={record !== undefined && isLogEndLost(record)}
      linked={line}
      onLink={(place) =>
        void navigate({ search: (before) => ({ ...before, attempt, line: place }), replace: true, resetScroll: false })
      }
    />
  );
}
