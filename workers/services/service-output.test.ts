import { describe, expect, it } from "vitest";
import { ServiceOutput } from "./service-output.ts";

function collect() {
  const written: string[] = [];
  return {
    written,
    write: (stream: "stdout" | "stderr", bytes: Buffer) => {
      written.push(`${stream}: ${bytes.toString()}`);
      return undefined;
    },
  };
}

describe("ServiceOutput", () => {
  it("finds a text that lies across reads, in one stream, since the last start", () => {
    const output = new ServiceOutput(collect(), "ready to accept");
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
    const output = new ServiceOutput(collect(), undefined);
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

  it("keeps a log within its limit, with one notice, and still looks at everything", () => {
    const log = collect();
    const output = new ServiceOutput(log, "needle", 8);
    const { found } = output.beginStart();
    output.write("stdout", Buffer.from("12345\n"));
    output.write("stderr", Buffer.from("6789"));
    output.write("stdout", Buffer.from("needle\n"));
    output.note("it is started again");
    expect(log.written).toEqual([
      "stdout: 12345\n",
      "stderr: 67",
      "stderr: \nsluice: the log of this service ends here: it has reached its limit of 8 bytes\n",
      "stderr: sluice: it is started again\n",
    ]);
    expect(found.aborted).toBe(true);
    expect(output.lastLines()).toEqual(["12345", "6789needle"]);
  });
});
