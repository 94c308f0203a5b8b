import { describe, expect, it } from "vitest";
import { listSecretForms } from "./forms.ts";

const value = 'p@ss/"w"\\örd <1> it\'s';

describe("the forms of a secret", () => {
  it("hold it as base64, wherever it stands in what is encoded", () => {
    const forms = listSecretForms(value);
    for (let before = 0; before < 6; before++) {
      for (const after of ["", "\n", ":tail", "::", "x"]) {
        const encoded = Buffer.from("u".repeat(before) + value + after).toString("base64");
        const found = forms.filter((form) => encoded.includes(form)).sort((a, b) => b.length - a.length)[0];
        // What is left beside it can hold no whole byte of the value.
        const at = encoded.indexOf(found ?? "?");
        const firstChar = Math.ceil((before * 4) / 3);
        const lastChar = Math.floor(((before + Buffer.byteLength(value)) * 4) / 3);
        expect(at).toBeGreaterThanOrEqual(0);
        expect(at - firstChar).toBeLessThanOrEqual(1);
        expect(lastChar - (at + (found ?? "").length)).toBeLessThanOrEqual(1);
      }
    }
  });

  it.each([
    ["base64url", Buffer.from(value).toString("base64url")],
    ["hexadecimal", Buffer.from(value).toString("hex")],
    ["a URL's component", encodeURIComponent(value)],
    ["a URL's component, digits in lower case", encodeURIComponent(value).replaceAll(/%../g, (c) => c.toLowerCase())],
    ["a form", new URLSearchParams({ a: value }).toString().slice(2)],
    ["JSON", JSON.stringify(value).slice(1, -1)],
    ["JSON in JSON", JSON.stringify(JSON.stringify(value)).slice(3, -3)],
    ["a trace of a shell", value.replaceAll("'", "'\\''")],
  ])("hold it as %s", (_, form) => {
    expect(listSecretForms(value)).toContain(form);
  });

  it("hold each line of several, without the space around it, but no short ones", () => {
    const forms = listSecretForms("first line\r\n  second\n}\n");
    expect(forms).toContain("first line");
    expect(forms).toContain("second");
    expect(forms).not.toContain("}");
    expect(forms).toContain("first line\n  second\n}\n");
  });

  it("hold the lines that base64 of a long one is wrapped to", () => {
    const long = "0123456789abcdef".repeat(10);
    const encoded = Buffer.from(`${long}\n`).toString("base64");
    expect(listSecretForms(long)).toContain(encoded.slice(76, 152));
    expect(listSecretForms(long)).toContain(encoded.slice(64, 128));
  });

  it("are none for what is shorter than four characters", () => {
    expect(listSecretForms("abc")).toEqual([]);
    expect(listSecretForms("")).toEqual([]);
    expect(listSecretForms("abcd")).toContain("abcd");
  });
});
