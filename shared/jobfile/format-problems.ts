import { type Place, type Problem, replaceControls } from "./problem.ts";

/** Problems as text for people: place, path and message of each, with the line and a caret under the column. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.map(formatProblem).join("\n");
}

function formatProblem(problem: Problem): string {
  const path = problem.path === "" ? "" : ` ${problem.path}:`;
  const file = replaceControls(problem.file);
  const head = `${file}:${problem.line}:${problem.column}${path} ${problem.message}`;
  const lines = [head, ...formatExcerpt(problem)];
  if (problem.related) {
    const { line, column, message } = problem.related;
    lines.push(`  ${file}:${line}:${column} ${message}`, ...formatExcerpt(problem.related));
  }
  return `${lines.join("\n")}\n`;
}

function formatExcerpt(place: Place): string[] {
  const { text, caret } = place.excerpt;
  if (text.trim() === "") return [];
  const gutter = `  ${place.line} | `;
  const indent = " ".repeat(gutter.length + countColumns(text.slice(0, caret)));
  return [`${gutter}${text}`, `${indent}^`];
}

const wideCharacter =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uff01-\uff60]/u;

/** Columns of a terminal: near enough for a caret, without the tables that a width library loads at every start. */
function countColumns(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (!/\p{Mark}/u.test(character)) columns += wideCharacter.test(character) ? 2 : 1;
  }
  return columns;
}
