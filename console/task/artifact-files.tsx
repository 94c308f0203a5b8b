import { useVirtualizer } from "@tanstack/react-virtual";
import { type CSSProperties, useDeferredValue, useEffect, useRef, useState } from "react";
import { formatBytes, formatLocalTime, formatNumber, plural } from "../../shared/domain/format.ts";
import { Button } from "../ui/button.tsx";
import { explainError } from "../ui/error-panel.tsx";
import { ScrollRegion } from "../ui/scroll-region.tsx";
import { type FileRow, formatMode, showName } from "./file-rows.ts";
import { type ArtifactPlace, useArtifactFiles } from "./use-artifact-files.ts";

const rowPx = 28;
const typingMs = 200;

interface ArtifactFilesProps {
  place: ArtifactPlace;
  /** Members that are listed, and that there are. */
  listed: number;
  members: number;
}

/** What is in an artifact, as a tree, or by name. Only what is in view is drawn. */
export function ArtifactFiles({ place, listed, members }: ArtifactFilesProps) {
  const [text, setText] = useState("");
  const find = useSettled(text);
  const { rows, isReading, error, retry, toggle, readMore } = useArtifactFiles(place, find);
  const shown = useDeferredValue(rows);
  return (
    <div className="files">
      <div className="files-bar">
        <input
          type="search"
          placeholder="Find a file"
          aria-label={`Find a file in ${place.name}`}
          value={text}
          onChange={({ target }) => setText(target.value)}
        />
        <span className="dim number" role="status">
          {find !== "" && !isReading ? tellFound(rows) : isReading ? "Reading…" : ""}
        </span>
      </div>
      {error ? (
        <p className="bad" role="alert">
          What is in it could not be read: {explainError(error)} <Button onClick={retry}>Try again</Button>
        </p>
      ) : null}
      <Rows rows={shown} onToggle={toggle} onMore={readMore} label={`Files in ${place.name}`} />
      {listed < members ? (
        <p className="dim">
          The first {formatNumber(listed)} of {plural(members, "member")} are listed; the artifact has all of them.
        </p>
      ) : null}
    </div>
  );
}

/** A text once nobody has typed for a moment. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text.trim()), typingMs);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

function tellFound(rows: readonly FileRow[]): string {
  const count = rows.filter(({ kind }) => kind === "entry").length;
  return rows.length > count
    ? `${formatNumber(count)} and more`
    : count === 0
      ? "nothing found"
      : `${formatNumber(count)} found`;
}

interface RowsProps {
  rows: readonly FileRow[];
  label: string;
  onToggle: (path: string) => void;
  onMore: (folder: string) => void;
}

function Rows({ rows, label, onToggle, onMore }: RowsProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowPx,
    overscan: 10,
  });
  return (
    <ScrollRegion ref={scroller} className="files-rows" label={label}>
      <ul className="rows-body" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const row = rows[index];
          if (!row) return null;
          const style: CSSProperties = { transform: `translateY(${start}px)`, height: rowPx };
          return (
            <li key={row.key} className="file" style={style}>
              <span className="file-name" style={{ paddingLeft: row.level * 18 }}>
                {row.kind === "entry" ? <Name row={row} onToggle={onToggle} /> : null}
                {row.kind === "reading" ? <span className="dim">Reading…</span> : null}
                {row.kind === "more" ? (
                  <button type="button" className="file-folder" onClick={() => onMore(row.folder)}>
                    Show more
                  </button>
                ) : null}
              </span>
              {row.kind === "entry" ? <Columns row={row} /> : null}
            </li>
          );
        })}
      </ul>
    </ScrollRegion>
  );
}

type EntryRow = Extract<FileRow, { kind: "entry" }>;

function Name({ row, onToggle }: { row: EntryRow; onToggle: (path: string) => void }) {
  const { file, name, isOpen } = row;
  const text = showName(name);
  if (file.kind === "folder" && file.files !== undefined) {
    return (
      <button
        type="button"
        className="file-folder cut"
        aria-expanded={isOpen}
        title={showName(file.path)}
        onClick={() => onToggle(file.path)}
      >
        <span aria-hidden="true">{isOpen ? "▾" : "▸"}</span> {text}/
      </button>
    );
  }
  return (
    <span className="cut file-leaf" title={showName(file.path)}>
      {text}
      {file.kind === "folder" ? "/" : null}
      {file.target === undefined ? null : <span className="dim"> → {showName(file.target)}</span>}
    </span>
  );
}

function Columns({ row: { file } }: { row: EntryRow }) {
  const { kind, files, bytes, size, mode, mtime } = file;
  return (
    <>
      <span className="dim number right file-count">{files === undefined ? "" : plural(files, "file")}</span>
      <span className="number right">
        {kind === "link" ? "link" : kind === "folder" && bytes === undefined ? "" : formatBytes(bytes ?? size)}
      </span>
      <span className="dim mono file-mode">{mode === undefined ? "" : formatMode(mode)}</span>
      <span className="dim number file-time">{mtime === undefined ? "" : formatLocalTime(mtime)}</span>
    </>
  );
}
