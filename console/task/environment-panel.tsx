import { Link } from "@tanstack/react-router";
import type { JobSpecAnswer, Task } from "../../shared/api/schemas.ts";
import { formatBytes, formatDuration, plural } from "../../shared/domain/format.ts";
import { Fact } from "../ui/fact.tsx";
import { Panel } from "../ui/panel.tsx";
import { ScrollRegion } from "../ui/scroll-region.tsx";
import { describeEntry, describePlace, listVariables, type Variable } from "./environment.ts";

interface EnvironmentProps {
  spec: JobSpecAnswer["spec"];
  task: Task;
}

/** What a task runs with: what its job file says, resolved. */
export function EnvironmentPanel({ spec, task }: EnvironmentProps) {
  const variables = listVariables(spec, task);
  return (
    <Panel title="Environment">
      <Settings spec={spec} task={task} />
      <table className="table environment-steps">
        <thead>
          <tr>
            <th className="col-step">Step</th>
            <th className="col-place">Runs in</th>
            <th>Command</th>
            <th className="right col-timeout">Timeout</th>
          </tr>
        </thead>
        <tbody>
          {spec.steps.map((step, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: steps have their places, and need not differ otherwise
            <tr key={at}>
              <td className="cut" title={step.name}>
                {at + 1}. {step.name}
              </td>
              <td className="cut mono" title={step.kind === "container" ? step.image : undefined}>
                {describePlace(step)}
              </td>
              <td className="environment-command">
                <Command text={describeEntry(step.entry)} />
              </td>
              <td className="right number col-timeout">
                {step.timeoutMs === undefined ? "–" : formatDuration(step.timeoutMs)}
              </td>
            </tr>
          ))}
          {Object.entries(spec.services).map(([name, service]) => (
            <tr key={name}>
              <td className="cut" title={name}>
                Service {name}
              </td>
              <td className="cut mono" title={service.image}>
                {service.image}
              </td>
              <td className="environment-command">
                <Command text={describeEntry(service.command ? { command: service.command } : null)} />
              </td>
              <td className="right col-timeout">–</td>
            </tr>
          ))}
        </tbody>
      </table>
      {variables.length > 0 ? <Variables variables={variables} /> : <p className="dim">It sets no variables.</p>}
    </Panel>
  );
}

function Settings({ spec, task }: EnvironmentProps) {
  const { cpus, memoryBytes, pids } = spec.resources ?? {};
  const limits = [
    ...(cpus === undefined ? [] : [`${cpus} CPU`]),
    ...(memoryBytes === undefined ? [] : [formatBytes(memoryBytes)]),
    ...(pids === undefined ? [] : [`${pids} processes`]),
  ];
  return (
    <dl className="facts small-facts">
      <Fact name="pool">{task.pool}</Fact>
      <Fact name="slots">{task.slots}</Fact>
      <Fact name="timeout">{formatDuration(task.timeoutMs)}</Fact>
      <Fact name="limits of each container">
        {limits.length > 0 ? `${limits.join(", ")}${task.slots > 1 ? " for each slot" : ""}` : "none"}
      </Fact>
      <Fact name="retried by itself">
        {spec.retry
          ? `up to ${plural(spec.retry.attempts, "attempt")} on ${spec.retry.on.join(", ")}`
          : "on failures of the infrastructure"}
      </Fact>
      {spec.registryAuth ? <Fact name="registry signed in to by">secret {spec.registryAuth}</Fact> : null}
      {task.needs ? (
        <Fact name="needs">
          <Needs job={task.job} needs={task.needs} />
        </Fact>
      ) : null}
    </dl>
  );
}

const shownNeeds = 8;

function Needs({ job, needs }: { job: string; needs: readonly string[] }) {
  const more = needs.length - shownNeeds;
  return (
    <>
      {needs.slice(0, shownNeeds).map((need, at) => (
        <span key={need}>
          {at > 0 ? ", " : null}
          <Link to="/jobs/$job/tasks/$task" params={{ job, task: need }} search={{}}>
            {need}
          </Link>
        </span>
      ))}
      {more > 0 ? ` and ${plural(more, "more task")}` : null}
    </>
  );
}

/** A command by its first line; all of it where it has more. */
function Command({ text }: { text: string }) {
  const [first = "", ...rest] = text.trim().split("\n");
  if (rest.length === 0) {
    return (
      <code className="cut command" title={text}>
        {first}
      </code>
    );
  }
  return (
    <details className="command">
      <summary>
        <code>{first}</code> <span className="dim">… {plural(rest.length, "more line")}</span>
      </summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys */}
      <pre tabIndex={0}>{text.trim()}</pre>
    </details>
  );
}

function Variables({ variables }: { variables: readonly Variable[] }) {
  return (
    <ScrollRegion className="task-variables" label="Variables">
      <table className="table">
        <thead>
          <tr>
            <th className="col-step">Variable</th>
            <th>Value</th>
            <th className="variable-from">Set by</th>
          </tr>
        </thead>
        <tbody>
          {variables.map(({ name, value, secret, from }) => (
            <tr key={`${name} ${from}`}>
              <td className="mono cut" title={name}>
                {name}
              </td>
              <td className="mono value">
                {secret === undefined ? value : <span className="dim">the value of secret {secret}</span>}
              </td>
              <td className="dim variable-from">{from}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}
