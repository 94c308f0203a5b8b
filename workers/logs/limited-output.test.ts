import { describe, expect, it } from "vitest";
import { LimitedOutput } from "./limited-output.ts";

function limit(maxBytes: number) {
  const written: string[] = [];
  const write = (stream: string, bytes: Buffer) => {
    written.push(`${stream}: ${bytes.toString()}`);
    return undefined;
  };
  return { written, limited: new LimitedOutput({ write }, { maxBytes, notice: "it ends here" }) };
}

describe("LimitedOutput", () => {
  it("passes everything on within its limit", () => {
    const { limited, written } = limit(6);
    limited.write("stdout", Buffer.from("12345\n"));
    expect({ written, dropped: limited.droppedBytes }).toEqual({ written: ["stdout: 12345\n"], dropped: 0 });
  });

  it("ends the line it cuts, tells so once, and counts what it drops", () => {
    const { limited, written } = limit(8);
    for (const text of ["12345\n", "6789", "more\n"]) limited.write("stderr", Buffer.from(text));
    expect(written).toEqual(["stderr: 12345\n", "stderr: 67\n", "stderr: it ends here\n"]);
    expect(limited.droppedBytes).toBe(7);
  });

  it("tells so once where the limit is the end of a line", () => {
    const { limited, written } = limit(6);
    for (const text of ["12345\n", "6", "7"]) limited.write("stdout", Buffer.from(text));
    expect({ written, dropped: limited.droppedBytes }).toEqual({
      written: ["stdout: 12345\n", "stderr: it ends here\n"],
      dropped: 2,
    });
  });
});
