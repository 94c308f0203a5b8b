import { describe, expect, it } from "vitest";
import type { StepOutput } from "../executors/executor.ts";
import { maskOutput } from "../masking/masked-output.ts";
import { SecretMatcher } from "../masking/secret-matcher.ts";
import { ServiceOutput } from "./service-output.ts";

function collect() {
  const written: string[] = [];
  const log: StepOutput = {
    write: (stream, bytes) => {
      written.push(`${stream}: ${bytes.toString()}`);
      return undefined;
    },
  };
  /** With the secret `s3cret` masked, as logs are. */
  const open = (wrap: (log: StepOutput) => StepOutput) =>
    maskOutput({ ...wrap(log), close: () => undefined }, new SecretMatcher(["s3cret"]));
  return { written, open };
}

describe("ServiceOutput", () => {
  it("finds a text that lies across reads, in one stream, since the last start", () => {
    const output = new ServiceOutput(collect().open, "ready to accept");
    const early = output.beginStart();
    output.write("stdout", Buffer.from("ready to "));
    output.write("stderr", Buffer.from("accept"));
    expect(early.found.aborted).toBe(false);
    const { found } = output.beginStart();
    output.write("stdout", Buffer.from("accept"));
    expect(found.aborted).toBe(false);
    for (const letter of "it is ready to accept!") output.write("stdout", Buffer.from(letter));
    expect(found.aborted).toBe(true);
  });

  it("tells the last lines without colours, controls and empty lines", () => {
    const output = new ServiceOutput(collect().open, undefined);
    expect(output.lastLines()).toEqual([]);
    output.write("stdout", Buffer.from("earlier\n"));
    output.beginStart();
    const lines = Array.from({ length: 12 }, (_, index) => `\u001b[31mline ${index}\u001b[0m\r\n\n`);
    output.write("stderr", Buffer.from(`${lines.join("")}open end\u0007`));
    expect(output.lastLines()).toEqual(
      [3, 4, 5, 6, 7, 8, 9, 10, 11].map((index) => `line ${index}`).concat("open end"),
    );
    output.write("stdout", Buffer.from(`\n${"x".repeat(10_000)}`));
    expect(output.lastLines()).toEqual(["x".repeat(300)]);
  });

  it("tells no part of a secret where it cuts its last words", () => {
    const output = new ServiceOutput(collect().open, undefined);
    output.write("stdout", Buffer.from(`${"x".repeat(297)}s3cret\n${"y".repeat(4_090)}s3cret${"z".repeat(4_093)}\n`));
    expect(output.lastLines().join()).not.toMatch(/s3c|ret/);
  });
});
