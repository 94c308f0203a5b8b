import { pad, textWidth, truncate } from "../terminal/text.ts";
import type { Frame, Hint, View } from "./view.ts";

const everywhere: readonly Hint[] = [
  ["Esc", "back"],
  ["?", "this help"],
  ["Ctrl-L", "draw everything anew"],
  ["Ctrl-Z", "stop for now; the shell's `fg` goes on"],
  ["q, Ctrl-C", "quit"],
];

/** All keys of a view. */
export function createHelp(view: View): View {
  const hints = [...view.help, ...everywhere];
  const keyWidth = Math.max(...hints.map(([key]) => textWidth(key)));
  let top = 0;
  return {
    title: "keys",
    hints: [
      ["Esc", "back"],
      ["j/k", "scroll"],
    ],
    help: [],
    contacts: view.contacts,
    press: ({ name }) => {
      const move = name === "j" || name === "down" ? 1 : name === "k" || name === "up" ? -1 : undefined;
      if (move !== undefined) top += move;
      return move !== undefined;
    },
    close: () => undefined,
    render: ({ width, height, style }: Frame) => {
      const lines = hints.map(
        ([key, does]) => `  ${style("bold", pad(key, keyWidth))}  ${truncate(does, width - keyWidth - 4)}`,
      );
      // Where there is little room, no line is left empty.
      const all = lines.length < height ? ["", ...lines] : lines;
      top = Math.max(0, Math.min(top, all.length - height));
      return all.slice(top, top + height);
    },
  };
}
