import type { ReactNode } from "react";
import type { Overview, OverviewPart } from "../../shared/api/overview-schemas.ts";
import type { OverviewFeed } from "../api/overview-feed.ts";
import { ErrorPanel } from "../ui/error-panel.tsx";

interface LivePanelProps<Part extends OverviewPart> {
  feed: OverviewFeed;
  part: Part;
  title: string;
  /** What stands beside the heading. */
  aside?: (data: NonNullable<Overview[Part]>) => ReactNode;
  /** Where it stands on the page. */
  className?: string;
  children: (data: NonNullable<Overview[Part]>) => ReactNode;
}

/** One part of the overview: on its way, there, out of date, or not to be had. */
export function LivePanel<Part extends OverviewPart>(props: LivePanelProps<Part>) {
  const { feed, part, title, aside, className = "", children } = props;
  const data = feed.known[part] as NonNullable<Overview[Part]> | undefined;
  if (data === undefined && feed.error) {
    return (
      <div className={className}>
        <ErrorPanel title={`${title} could not be read`} error={feed.error} onRetry={feed.resume} />
      </div>
    );
  }
  const isStale = data !== undefined && (feed.state === "stale" || feed.error !== undefined);
  return (
    <section className={`panel overview-panel ${className}`} aria-label={title} aria-busy={data === undefined}>
      <header className="panel-head">
        <h2>{title}</h2>
        {isStale ? <span className="badge badge-stale">out of date</span> : null}
        <span className="grow" />
        {data === undefined || !aside ? null : <span className="dim small">{aside(data)}</span>}
      </header>
      {data === undefined ? <Waiting /> : children(data)}
    </section>
  );
}

/** As many grey lines as a part mostly has: little moves when it comes. */
function Waiting() {
  return (
    <div className="waiting" role="status" aria-label="Reading">
      <span />
      <span />
      <span />
    </div>
  );
}

/** What stands in a part that has nothing to show. */
export function Nothing({ children }: { children: ReactNode }) {
  return <p className="nothing dim">{children}</p>;
}
