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
  return {
    title: "keys",
    hints: [["Esc", "back"]],
    help: [],
    contacts: view.contacts,
    press: () => false,
    close: () => undefined,
    render: ({ width, height, style }: Frame) => {
      const hints = [...view.help, ...everywhere];
      const keyWidth = Math.max(...hints.map(([key]) => textWidth(key)));
      const lines = hints.map(
        ([key, does]) => `  ${style("bold", pad(key, keyWidth))}  ${truncate(does, width - keyWidth - 4)}`,
      );
      return ["", ...lines].slice(0, height);
    },
  };
}
