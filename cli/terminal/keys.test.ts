import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { createKeyReader, type Key } from "./keys.ts";

let pressed: Key[] = [];
const reader = createKeyReader((key) => pressed.push(key));
const names = (...pieces: (string | Buffer)[]) => {
  pressed = [];
  for (const piece of pieces) reader.feed(Buffer.from(piece as string));
  return pressed.map(({ name }) => name);
};

afterEach(() => reader.close());

describe("keys of a terminal", () => {
  it("are told by their names, however they come", () => {
    expect(names("aZ/ é日")).toEqual(["a", "Z", "/", " ", "é", "日"]);
    expect(names("\r\n\t\u007f\b\u0003\u001a")).toEqual([
      ...["enter", "enter", "tab", "backspace", "backspace", "ctrl-c", "ctrl-z"],
    ]);
    expect(names("\u001b[A\u001b[B\u001b[C\u001b[D\u001b[H\u001b[F\u001b[Z")).toEqual([
      ...["up", "down", "right", "left", "home", "end", "backtab"],
    ]);
    expect(names("\u001bOA\u001bOH\u001bOM\u001b[1~\u001b[4~\u001b[5~\u001b[6~")).toEqual([
      ...["up", "home", "enter", "home", "end", "pageup", "pagedown"],
    ]);
  });

  it("are the same where what they send is cut in two", () => {
    expect(names("\u001b", "[", "5", "~", "x")).toEqual(["pageup", "x"]);
    const [first, second] = [Buffer.from("é").subarray(0, 1), Buffer.from("é").subarray(1)];
    expect(names(first, second)).toEqual(["é"]);
  });

  it("are Escape where nothing follows it, and nothing where it is held with another or unknown", async () => {
    expect(names("\u001b")).toEqual([]);
    await eventually(() => pressed.length > 0, "Escape");
    expect(pressed).toEqual([{ name: "escape" }]);
    expect(names("\u001b\u001b[A")).toEqual(["escape", "up"]);
    expect(names("\u001bxq")).toEqual(["q"]);
    expect(names("\u001b[1;5Pq\u001b[<0;3;4Mq\u001b[?1;2$yq\u001b[[Cq\u001b[", "[", "Aq")).toEqual([
      "q",
      "q",
      "q",
      "q",
      "q",
    ]);
    expect(names("\u001b]11;rgb:1e/1e\u001b", "\\q\u001bP1$ry\u0007q")).toEqual(["q", "q"]);
  });

  it("are one where a text is pasted, which types but does nothing", () => {
    expect(names("\u001b[200~c", "y\r", "\u001b[20", "1~q")).toEqual(["paste", "q"]);
    expect(pressed[0]?.text).toBe("cy\r");
  });
});
