import { PassThrough, Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { Interrupted } from "../errors.ts";
import { askHidden, readAll } from "./read-input.ts";

/** A terminal whose modes and text can be seen. */
function createTerminal() {
  const modes: boolean[] = [];
  let shown = "";
  const input = Object.assign(new PassThrough(), { setRawMode: (mode: boolean) => modes.push(mode) });
  const write = (text: string): void => {
    shown += text;
  };
  return { input, modes, write, shown: () => shown };
}

describe("askHidden", () => {
  it("shows the question and nothing of what is typed, and gives the terminal back", async () => {
    const terminal = createTerminal();
    const answer = askHidden(terminal.input, "value: ", terminal.write);
    for (const keys of ["s3", "x\u007fcr\u00e9", "t\r"]) terminal.input.write(keys);
    expect(await answer).toBe("s3cr\u00e9t");
    expect(terminal.shown()).toBe("value: \n");
    expect(terminal.modes).toEqual([true, false]);
    expect(terminal.input.listenerCount("data")).toBe(0);
  });

  it("takes characters whose bytes come apart, and starts anew at Ctrl-U", async () => {
    const terminal = createTerminal();
    const answer = askHidden(terminal.input, "", terminal.write);
    const bytes = Buffer.from("wrong\u0015\u00fc\n");
    for (const byte of bytes) terminal.input.write(Buffer.from([byte]));
    expect(await answer).toBe("\u00fc");
  });

  it("ends at Ctrl-C", async () => {
    const terminal = createTerminal();
    const answer = askHidden(terminal.input, "", terminal.write);
    terminal.input.write("abc\u0003");
    await expect(answer).rejects.toBeInstanceOf(Interrupted);
    expect(terminal.modes).toEqual([true, false]);
  });
});

describe("readAll", () => {
  it("reads up to the end, but no more than it may", async () => {
    const tooLong = () => new Error("too long");
    expect(await readAll(Readable.from([Buffer.from([0xc3]), Buffer.from([0xa9])]), 2, tooLong)).toBe("\u00e9");
    await expect(readAll(Readable.from([Buffer.from("abc")]), 2, tooLong)).rejects.toThrow("too long");
  });
});
