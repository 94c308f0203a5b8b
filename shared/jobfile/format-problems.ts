import stringWidth from "string-width";
import type { Place, Problem } from "./problem.ts";

/** Problems as text for people: place, path and message of each, with the line and a caret under the column. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.map(formatProblem).join("\n");
}

function formatProblem(problem: Problem): string {
  const path = problem.path === "" ? "" : ` ${problem.path}:`;
  const head = `${problem.file}:${problem.line}:${problem.column}${path} ${problem.message}`;
  const lines = [head, ...formatExcerpt(problem)];
  if (problem.related) {
    const { line, column, message } = problem.related;
    lines.push(`  ${problem.file}:${line}:${column} ${message}`, ...formatExcerpt(problem.related));
  }
  return `${lines.join("\n")}\n`;
}

function formatExcerpt(place: Place): string[] {
  const { text, caret } = place.excerpt;
  if (text.trim() === "") return [];
  const gutter = `  ${place.line} | `;
  // A wide character before the caret takes two columns of a terminal.
  const indent = " ".repeat(gutter.length + stringWidth(text.slice(0, caret)));
  return [`${gutter}${text}`, `${indent}^`];
}
