import type { ReactNode } from "react";

/** A part of a page with a heading. */
export function Panel({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className="panel">
      <header className="panel-head">
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

/** What stands where there is nothing yet: why, and what to do. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** What stands where something is on its way. */
export function Loading({ what }: { what: string }) {
  return (
    <div className="loading" role="status">
      Reading {what}…
    </div>
  );
}
