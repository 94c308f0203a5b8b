import { expect, it } from "vitest";
import { parseCommandLine } from "./command-line.ts";

it("reads what the program is asked to do", () => {
  expect(parseCommandLine([])).toEqual({ kind: "run" });
  expect(parseCommandLine(["doctor"])).toEqual({ kind: "doctor", json: false });
  expect(parseCommandLine(["doctor", "--json"])).toEqual({ kind: "doctor", json: true });
  expect(parseCommandLine(["--version"])).toEqual({ kind: "version" });
  expect(parseCommandLine(["-h"])).toEqual({ kind: "help" });
  expect(parseCommandLine(["docter"])).toEqual({ kind: "unknown", argument: "docter" });
  expect(parseCommandLine(["doctor", "--jsn"])).toEqual({ kind: "unknown", argument: "--jsn" });
});
