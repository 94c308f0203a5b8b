import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import type { ShownArtifact } from "../../shared/api/artifact-schemas.ts";
import type { Task } from "../../shared/api/schemas.ts";
import { formatBytes, plural } from "../../shared/domain/format.ts";
import { api } from "../api/client.ts";
import { readAgain } from "../api/live.ts";
import { useNow } from "../app/now.ts";
import { Button } from "../ui/button.tsx";
import { explainError } from "../ui/error-panel.tsx";
import { Loading, Panel } from "../ui/panel.tsx";
import { Age } from "../ui/time.tsx";
import "./files.css";

const ArtifactFiles = lazy(async () => ({ default: (await import("./artifact-files.tsx")).ArtifactFiles }));

/** Links expire; a page that is left open gets new ones. */
const linksLookMs = 10 * 60_000;

/** What an attempt left, to be fetched, and what is in it. */
export function ArtifactsPanel({ task, attempt }: { task: Task; attempt: number }) {
  const kept = task.attempts[attempt - 1]?.artifacts ?? [];
  const links = useQuery({
    queryKey: ["artifacts", task.job, task.task, attempt, kept.length],
    queryFn: ({ signal }) => api.listArtifacts(task.job, task.task, { attempt }, { signal }),
    enabled: kept.length > 0,
    refetchInterval: (query) => readAgain(query) || linksLookMs,
  });
  if (kept.length === 0) return null;
  return (
    <Panel title="Artifacts">
      {links.error ? <p className="bad">The links could not be read: {explainError(links.error)}</p> : null}
      <ul className="artifacts">
        {kept.map((artifact) => (
          <ArtifactItem
            key={artifact.name}
            artifact={artifact}
            url={links.data?.artifacts.find(({ name }) => name === artifact.name)?.url}
            place={{ job: task.job, task: task.task, attempt, name: artifact.name }}
          />
        ))}
      </ul>
    </Panel>
  );
}

interface ArtifactItemProps {
  artifact: ShownArtifact;
  /** Absent until it is known, or where its time is over. */
  url: string | undefined;
  place: { job: string; task: string; attempt: number; name: string };
}

function ArtifactItem({ artifact, url, place }: ArtifactItemProps) {
  const { name, size, sha256, content, listed, keptUntil, incomplete } = artifact;
  const [isOpen, setOpen] = useState(false);
  const nowMs = useNow();
  const isExpired = keptUntil !== undefined && Date.parse(keptUntil) <= nowMs;
  return (
    <li>
      <div className="artifact-head">
        {url && !isExpired ? (
          <a href={url} download={name} className="cut" title={name}>
            {name}
          </a>
        ) : (
          <span className="cut" title={name}>
            {name}
          </span>
        )}
        <span className="number">{formatBytes(size)}</span>
        {content ? (
          <span className="dim number">
            {plural(content.files, "file")}, {formatBytes(content.bytes)} unpacked
          </span>
        ) : null}
        <span className="mono dim cut artifact-sum" title={sha256}>
          sha256 {sha256}
        </span>
        {listed !== undefined && !isExpired ? (
          <Button aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
            {isOpen ? "Hide files" : "Show files"}
          </Button>
        ) : null}
      </div>
      {incomplete ? <p className="bad">It lacks {incomplete}</p> : null}
      {isExpired ? (
        <p className="dim">
          It expired <Age at={keptUntil} />: the job says how long its artifacts are kept.
        </p>
      ) : listed === undefined ? (
        <p className="dim">
          What is in it is not listed: it was stored by an earlier version, or the list could not be.
        </p>
      ) : null}
      {isOpen && content && listed !== undefined && !isExpired ? (
        <Suspense fallback={<Loading what={`what is in ${name}`} />}>
          <ArtifactFiles place={place} listed={listed} members={content.members} />
        </Suspense>
      ) : null}
    </li>
  );
}
