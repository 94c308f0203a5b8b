import type { ReactNode } from "react";

/** One fact of a list of facts (`dl`): what it is about, what it is, and `title`, what more there is to say on hover. */
export function Fact({ name, title, children }: { name: string; title?: string; children: ReactNode }) {
  return (
    <div title={title}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
