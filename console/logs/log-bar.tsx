import { Menu } from "@base-ui/react/menu";
import { type KeyboardEvent, useEffect, useState } from "react";
import { formatNumber } from "../../shared/domain/format.ts";
import { isKeyTaken } from "../app/shortcuts.tsx";
import { Button } from "../ui/button.tsx";
import { formatLink, type LinkedLines } from "./log-link.ts";
import type { LogSection } from "./log-model.ts";
import type { useLogSearch } from "./use-log-search.ts";

type LogSearch = ReturnType<typeof useLogSearch>;

/** A button that is on or off. */
export function Toggle(props: { label: string; pressed: boolean; onToggle: (pressed: boolean) => void }) {
  return (
    <Button aria-pressed={props.pressed} onClick={() => props.onToggle(!props.pressed)}>
      {props.label}
    </Button>
  );
}

/** Where to search, how much was found, and the way from one to the next. */
export function SearchField({ search }: { search: LogSearch }) {
  const { latest, count } = search;
  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isKeyTaken(event.target)) return;
      if (event.key === "n") latest.current(1);
      if (event.key === "N") latest.current(-1);
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [latest]);
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    latest.current(event.shiftKey ? -1 : 1);
  };
  return (
    <search className="log-search">
      <input
        data-search
        type="search"
        placeholder="Search the log"
        aria-label="Search the log"
        title="Enter or n: next, Shift+Enter or N: previous"
        value={search.text}
        onChange={({ target }) => search.setText(target.value)}
        onKeyDown={onKey}
      />
      <Button aria-label="Previous match" disabled={count === 0} onClick={() => latest.current(-1)}>
        ↑
      </Button>
      <Button aria-label="Next match" disabled={count === 0} onClick={() => latest.current(1)}>
        ↓
      </Button>
      <span className="dim number log-found" role="status">
        {search.says}
      </span>
    </search>
  );
}

/** What is linked, or was found last, with a way to hand it to others. */
export function LinkedChip({ lines, onLink }: { lines: LinkedLines; onLink: (place: string | undefined) => void }) {
  const [said, setSaid] = useState<string>();
  const place = formatLink(lines);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was said is of the place that was copied
  useEffect(() => setSaid(undefined), [place]);
  const copy = async () => {
    onLink(place);
    const url = new URL(window.location.href);
    url.searchParams.set("line", place);
    // Browsers have no clipboard for pages that came without TLS from another machine, and may refuse it.
    const copied = await navigator.clipboard?.writeText(url.href).then(
      () => true,
      () => false,
    );
    setSaid(copied ? "Copied" : "It is in the address");
  };
  const from = formatNumber(lines.first + 1);
  return (
    <span className="log-linked">
      <span className="number">
        {lines.last > lines.first ? `Lines ${from}–${formatNumber(lines.last + 1)}` : `Line ${from}`}
      </span>
      <Button onClick={() => void copy()}>{said ?? "Copy link"}</Button>
      <Button kind="quiet" aria-label="Forget the line" onClick={() => onLink(undefined)}>
        ✕
      </Button>
    </span>
  );
}

interface DownloadsProps {
  job: string;
  task: string;
  attempt: number;
  sections: readonly LogSection[];
}

/** Each log of the attempt as a file. */
export function Downloads({ job, task, attempt, sections }: DownloadsProps) {
  const path = `/v1/jobs/${encodeURIComponent(job)}/tasks/${encodeURIComponent(task)}/logs`;
  const files = sections
    .filter(({ lines }) => lines > 0)
    .map(({ key, title, choice }) => {
      const query = new URLSearchParams({ attempt: String(attempt), format: "text" });
      if (choice.step !== undefined) query.set("step", String(choice.step));
      if (choice.service !== undefined) query.set("service", choice.service);
      return { key, title, url: `${path}?${query}` };
    });
  const [only, ...others] = files;
  if (!only) return null;
  if (others.length === 0) {
    return (
      <a className="button" href={only.url} download>
        Download
      </a>
    );
  }
  return (
    <Menu.Root>
      <Menu.Trigger className="button">Download ▾</Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner sideOffset={6} align="end">
          <Menu.Popup className="menu">
            {files.map(({ key, title, url }) => (
              <Menu.Item key={key} className="menu-item" render={<a href={url} download />}>
                {title}
              </Menu.Item>
            ))}
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}
