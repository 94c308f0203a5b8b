import { useMemo } from "react";
import { stringify } from "yaml";
import { plural } from "../../shared/domain/format.ts";
import { useSpec } from "../api/use-spec.ts";
import { Button } from "../ui/button.tsx";
import { ErrorPanel } from "../ui/error-panel.tsx";
import { Loading } from "../ui/panel.tsx";
import { useCopy } from "./use-copy.ts";
import "./job-file.css";

/** What the job was submitted as: its file as it was resolved, without the tasks. It never changes. */
export function JobFile({ job }: { job: string }) {
  const { data, error, refetch } = useSpec(job);
  const text = useMemo(() => (data ? stringify(data.spec, { lineWidth: 0, sortMapEntries: false }) : ""), [data]);
  const [copied, copy] = useCopy(text);
  if (error) return <ErrorPanel title="The job's file could not be read" error={error} onRetry={() => refetch()} />;
  if (!data) return <Loading what="the job's file" />;
  const { spec } = data;
  const env = Object.entries(spec.env);
  const secrets = Object.entries(spec.secrets ?? {});
  return (
    <div className="job-file">
      <div className="job-file-head">
        <p className="dim">
          As it was resolved when it was submitted, with all defaults. Its tasks are a list of their own.
          {secrets.length > 0 || spec.registryAuth ? " Of secrets it has the names; values are nowhere in it." : ""}
        </p>
        <span className="grow" />
        <Button onClick={copy}>{copied ? "Copied" : "Copy"}</Button>
        <Button onClick={() => download(text, `${job}.yaml`)}>Download</Button>
      </div>
      {env.length > 0 ? <Variables title={plural(env.length, "variable")} entries={env} /> : null}
      {secrets.length > 0 ? (
        <Variables
          title={plural(secrets.length, "secret")}
          entries={secrets.map(([variable, secret]) => [variable, `the secret ${secret}`])}
        />
      ) : null}
      {/* It scrolls sideways: who has only a keyboard must be able to, too. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls can be focused */}
      <pre className="job-file-text" tabIndex={0} role="region" aria-label="The job's file">
        {text}
      </pre>
    </div>
  );
}

function Variables({ title, entries }: { title: string; entries: readonly (readonly [string, string])[] }) {
  return (
    <details className="variables" open={entries.length <= 12}>
      <summary>{title}</summary>
      <dl>
        {entries.map(([name, value]) => (
          <div key={name}>
            <dt className="mono">{name}</dt>
            <dd className="mono">{value === "" ? <span className="dim">empty</span> : value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function download(text: string, name: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun to read it by the next turn.
  setTimeout(() => URL.revokeObjectURL(url), 1_000);
}
