import picomatch from "picomatch";

/** What of a task's output becomes its artifact: patterns relative to the output folder. */
export interface OutputPatterns {
  paths: readonly string[];
  exclude?: readonly string[] | undefined;
}

/** What a selector says of a name; what is excluded is not looked into either. */
export type Selection = "selected" | "excluded" | "unnamed";

/**
 * A folder that `paths` name brings all it holds; `exclude`, like a path that starts with `!`, takes out again, a folder
 * with all it holds. Where `paths` only take out, everything else is kept.
 */
export function createSelector(patterns: OutputPatterns): (name: string, isParentSelected: boolean) => Selection {
  const included = patterns.paths.filter((path) => !path.startsWith("!"));
  const negated = patterns.paths.filter((path) => path.startsWith("!")).map((path) => path.slice(1));
  const excludes = [...negated, ...(patterns.exclude ?? [])].map(compilePattern);
  const includesAll = included.length === 0 || included.includes("**");
  const includes = includesAll ? [] : included.map(compilePattern);
  return (name, isParentSelected) => {
    if (excludes.some((matches) => matches(name))) return "excluded";
    return isParentSelected || includesAll || includes.some((matches) => matches(name)) ? "selected" : "unnamed";
  };
}

function compilePattern(pattern: string): (name: string) => boolean {
  return picomatch(pattern.replace(/^\.\//, "").replace(/\/$/, ""), { dot: true });
}
