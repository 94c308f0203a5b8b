import { styleText } from "node:util";

/** What text can look like; meaning is never carried by it alone. */
export type StyleName = "bold" | "dim" | "inverse" | "red" | "green" | "yellow" | "blue" | "magenta" | "cyan";

/** Dresses a text for a stream, or leaves it alone where the stream shows no colours. */
export type Style = (names: StyleName | readonly StyleName[], text: string) => string;

/** Leaves every text as it is. */
export const plainStyle: Style = (_names, text) => text;

/** Dresses texts with ANSI codes whatever the stream is: whether to use it was decided before. */
export const ansiStyle: Style = (names, text) =>
  text === "" ? text : styleText(typeof names === "string" ? names : [...names], text, { validateStream: false });
