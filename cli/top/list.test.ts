import { describe, expect, it } from "vitest";
import { plainStyle } from "../terminal/style.ts";
import { textWidth } from "../terminal/text.ts";
import { fitColumns, renderList, truncateMiddle } from "./columns.ts";
import { ListCursor } from "./list.ts";
import { shareRoom } from "./panes.ts";

const press = (cursor: ListCursor, ...names: string[]) => names.map((name) => cursor.press({ name }));
const rows = Array.from({ length: 20 }, (_, index) => `r${index}`);

describe("the chosen row of a list", () => {
  it("moves by line, page and to both ends, and is always seen", () => {
    const cursor = new ListCursor();
    expect(cursor.place(rows, 5)).toEqual({ top: 0, at: 0 });
    press(cursor, "j", "down", "k");
    expect([cursor.chosen, cursor.place(rows, 5)]).toEqual(["r1", { top: 0, at: 1 }]);
    press(cursor, "pagedown", "pagedown");
    expect(cursor.place(rows, 5)).toEqual({ top: 5, at: 9 });
    press(cursor, "G", "j");
    expect(cursor.place(rows, 5)).toEqual({ top: 15, at: 19 });
    press(cursor, "home", "up");
    expect(cursor.place(rows, 5)).toEqual({ top: 0, at: 0 });
    expect(press(cursor, "x")).toEqual([false]);
  });

  it("stays the same thing while others come and go, and where it goes its place is taken", () => {
    const cursor = new ListCursor();
    cursor.place(rows, 5);
    press(cursor, "j", "j");
    expect(cursor.place(["new", ...rows], 5).at).toBe(3);
    expect(cursor.chosen).toBe("r2");
    cursor.place(["new", "r0", "r1", "r3", "r4"], 5);
    expect(cursor.chosen).toBe("r3");
    expect([cursor.place([], 5), cursor.chosen]).toEqual([{ top: 0, at: -1 }, undefined]);
    cursor.place(["a"], 5);
    expect(cursor.chosen).toBe("a");
  });
});

describe("a list that is still being read", () => {
  it("has its first row chosen until somebody moves", () => {
    const cursor = new ListCursor();
    cursor.place(["r5"], 5, false);
    cursor.place(["r1", "r5"], 5, false);
    expect(cursor.chosen).toBe("r1");
    press(cursor, "j");
    cursor.place(["r0", "r1", "r5"], 5, false);
    expect(cursor.chosen).toBe("r5");
  });
});

describe("columns on the screen", () => {
  const columns = [
    { heading: "JOB", width: 8, most: 20, cutsMiddle: true },
    { heading: "DONE", width: 6, align: "right" as const },
    { heading: "BY", width: 6, drop: 1 },
    { heading: "NOTE", width: 10, most: 99, drop: 2 },
  ];

  it("follow from the room alone: what matters least goes first, what is left over goes to the first", () => {
    expect(fitColumns(columns, 60)).toEqual([20, 6, 6, 22]);
    expect(fitColumns(columns, 36)).toEqual([8, 6, 6, 10]);
    expect(fitColumns(columns, 34)).toEqual([18, 6, 6, undefined]);
    expect(fitColumns(columns, 20)).toEqual([12, 6, undefined, undefined]);
    expect(fitColumns(columns, 10)).toEqual([2, 6, undefined, undefined]);
  });

  it("are as wide as they are whatever is in them", () => {
    const list = { columns, headingStyle: "dim" as const, width: 38, style: plainStyle };
    const cells = (job: string) => [{ text: job }, { text: "1/3" }, { text: "ann" }, { draw: () => "##########" }];
    const drawn = renderList({ ...list, rows: [cells("日本語-01k0000abcd"), cells("b")], chosen: 1 });
    expect(drawn).toEqual([
      "  JOB         DONE  BY      NOTE",
      "  日本…bcd     1/3  ann     ##########",
      "❯ b            1/3  ann     ##########",
    ]);
    expect(drawn.every((line) => textWidth(line) <= 38)).toBe(true);
  });

  it("leave the end of an id, which tells it from others", () => {
    expect(truncateMiddle("integration-tests-01k0000abcd", 20)).toBe("integration…0000abcd");
    expect(truncateMiddle("short", 20)).toBe("short");
    expect(truncateMiddle("日本語日本語", 7)).toBe("日本…語");
  });
});

describe("room for several lists", () => {
  it("is shared by weight, and what one does not need the others get", () => {
    expect(shareRoom(18, [2, 200, 60], [1, 2, 3])).toEqual([2, 7, 9]);
    expect(shareRoom(18, [2, 3, 60], [1, 2, 3])).toEqual([2, 3, 13]);
    expect(shareRoom(10, [1, 1, 1], [1, 2, 3])).toEqual([1, 1, 1]);
    expect(shareRoom(3, [9, 9, 9], [1, 2, 3])).toEqual([1, 1, 1]);
  });
});
