import { StringDecoder } from "node:string_decoder";
import { Interrupted } from "../errors.ts";

/** The terminal that somebody types on, as far as it is used. */
export interface InputStream {
  setRawMode?: ((mode: boolean) => unknown) | undefined;
  on(event: "data", listener: (bytes: Buffer) => void): unknown;
  off(event: "data", listener: (bytes: Buffer) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

/** Reads everything up to the end of the stream, or throws once it is more than `maxBytes`. */
export async function readAll(
  input: AsyncIterable<Buffer | string>,
  maxBytes: number,
  tooLong: () => Error,
): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of input) {
    const bytes = Buffer.from(piece);
    size += bytes.length;
    if (size > maxBytes) throw tooLong();
    pieces.push(bytes);
  }
  return Buffer.concat(pieces).toString("utf8");
}

const keys = { enter: /[\r\n]/, erase: /[\u007f\b]/, eraseAll: "\u0015", interrupt: "\u0003", end: "\u0004" };

/** Asks on a terminal for one line that is not shown as it is typed. Ctrl-C throws `Interrupted`. */
export function askHidden(input: InputStream, question: string, write: (text: string) => void): Promise<string> {
  const decoder = new StringDecoder("utf8");
  let typed: string[] = [];
  // Raw, so that the terminal itself shows nothing; line editing and Ctrl-C become this function's work.
  input.setRawMode?.(true);
  write(question);
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      input.off("data", take);
      input.setRawMode?.(false);
      input.pause();
      write("\n");
      settle();
    };
    const take = (bytes: Buffer): void => {
      for (const key of decoder.write(bytes)) {
        if (key === keys.interrupt) {
          finish(() => reject(new Interrupted()));
          return;
        }
        if (keys.enter.test(key) || key === keys.end) {
          finish(() => resolve(typed.join("")));
          return;
        }
        if (key === keys.eraseAll) typed = [];
        else if (keys.erase.test(key)) typed.pop();
        else typed.push(key);
      }
    };
    input.on("data", take);
    input.resume();
  });
}
