import { describe, expect, it } from "vitest";
import {
  digestAttributes,
  measureAttributes,
  parseMessageAttributes,
  parseSystemAttributes,
  selectAttributes,
} from "./message-attributes.ts";

const text = (StringValue: string, DataType = "String") => ({ DataType, StringValue });

describe("digestAttributes", () => {
  it("agrees with digests that AWS has answered", () => {
    expect(digestAttributes({ timestamp: text("1493147359900", "Number") })).toBe("235c5c510d26fb653d073faed50ae77c");
    expect(digestAttributes({ Hello: text("There"), General: text("Kenobi"), "Help.Me": text("Me") })).toBe(
      "4c360f3fdafd970e05fae2f149d997f5",
    );
    const binary = Buffer.from("traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01");
    expect(digestAttributes({ attr1: { DataType: "Binary", BinaryValue: binary.toString("base64") } })).toBe(
      "8cbe4db156db8a94db8b801b7addb984",
    );
  });

  it("does not depend on the order, and is absent without attributes", () => {
    expect(digestAttributes({ b: text("2"), a: text("1") })).toBe(digestAttributes({ a: text("1"), b: text("2") }));
    expect(digestAttributes({})).toBeUndefined();
  });
});

describe("measureAttributes", () => {
  it("counts the bytes of names, types and values", () => {
    expect(measureAttributes({ ä: text("öö") })).toBe(2 + "String".length + 4);
    expect(measureAttributes({ b: { DataType: "Binary", BinaryValue: Buffer.alloc(5).toString("base64") } })).toBe(
      1 + "Binary".length + 5,
    );
  });
});

describe("parseMessageAttributes", () => {
  it("takes the three types and those derived from them", () => {
    const attributes = {
      a: text("x"),
      b: text("1e3", "Number.float"),
      c: { DataType: "Binary.gif", BinaryValue: "AA==" },
    };
    expect(parseMessageAttributes(attributes)).toEqual(attributes);
  });

  it("drops what does not belong to the type", () => {
    expect(parseMessageAttributes({ a: { ...text("x"), StringListValues: [] } })).toEqual({ a: text("x") });
  });

  it("refuses reserved and malformed names, types and values", () => {
    for (const attributes of [
      { "amazon.x": text("x") },
      { "a..b": text("x") },
      { "a ": text("x") },
      { a: text("x", "Strings") },
      { a: text("x", `String.${"y".repeat(256)}`) },
      { a: text("1,5", "Number") },
      { a: { DataType: "Binary", StringValue: "x" } },
      { a: { StringValue: "x" } },
    ]) {
      expect(() => parseMessageAttributes(attributes), JSON.stringify(attributes)).toThrow();
    }
    expect(() => parseMessageAttributes({ a: text("\u0000") })).toThrow(/U\+0000/);
  });
});

describe("parseSystemAttributes", () => {
  it("takes the trace header and nothing else", () => {
    expect(parseSystemAttributes({ AWSTraceHeader: text("Root=1") })).toEqual({ AWSTraceHeader: text("Root=1") });
    expect(() => parseSystemAttributes({ Colour: text("red") })).toThrow(/Colour/);
    expect(() => parseSystemAttributes({ AWSTraceHeader: text("1", "Number") })).toThrow(/type String/);
  });
});

describe("selectAttributes", () => {
  it("selects by name, by prefix and all", () => {
    const attributes = { "job.id": text("1"), "job.name": text("n"), other: text("o") };
    expect(Object.keys(selectAttributes(attributes, ["other", "absent"]))).toEqual(["other"]);
    expect(Object.keys(selectAttributes(attributes, ["job.*"]))).toEqual(["job.id", "job.name"]);
    expect(selectAttributes(attributes, ["All"])).toBe(attributes);
    expect(selectAttributes(attributes, [])).toEqual({});
  });
});
