/** Lines that an address names; lines are counted from 0. */
export interface LinkedLines {
  key: string;
  first: number;
  last: number;
}

/** Reads a link to lines of a log as people count them, from 1: `1:42`, `service.redis:4-9`. */
export function parseLink(linked: string | undefined): LinkedLines | undefined {
  const [, key, first, last] = /^([\w.-]+):(\d{1,10})(?:-(\d{1,10}))?$/.exec(linked ?? "") ?? [];
  if (key === undefined || Number(first) < 1) return undefined;
  const ends = [Number(first), Number(last ?? first)].map((line) => Math.max(0, line - 1));
  return { key, first: Math.min(...ends), last: Math.max(...ends) };
}

/** Names lines as an address has them. */
export function formatLink({ key, first, last }: LinkedLines): string {
  return last > first ? `${key}:${first + 1}-${last + 1}` : `${key}:${first + 1}`;
}

/** What is linked when a line is pointed at: that line, or, to extend what is linked, all up to it. */
export function extendLink(linked: LinkedLines | undefined, key: string, line: number, toExtend: boolean): LinkedLines {
  if (!toExtend || linked?.key !== key) return { key, first: line, last: line };
  return { key, first: Math.min(linked.first, line), last: Math.max(linked.first, line) };
}
