import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Deadlined, DeadlineHeap } from "./deadline-heap.ts";

type Entry = { -readonly [Key in keyof Deadlined]: Deadlined[Key] };

function drain(heap: DeadlineHeap<Entry>): Entry[] {
  const drained: Entry[] = [];
  for (let earliest = heap.earliest; earliest !== undefined; earliest = heap.earliest) {
    heap.remove(earliest);
    drained.push(earliest);
  }
  return drained;
}

const inOrder = (entries: readonly Entry[]) =>
  [...entries].sort((one, other) => one.visibleAtMs - other.visibleAtMs || one.row - other.row);

describe("DeadlineHeap", () => {
  it("gives members back by deadline and row after any additions, changes and removals", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom("add", "change", "remove"), fc.nat(20), fc.nat(50)), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(steps, (actions) => {
        const heap = new DeadlineHeap<Entry>();
        const members: Entry[] = [];
        for (const [row, [action, index, visibleAtMs]] of actions.entries()) {
          const member = members[index % Math.max(members.length, 1)];
          if (action === "add" || member === undefined) {
            const added = { row, visibleAtMs, heapIndex: -1 };
            heap.add(added);
            members.push(added);
          } else if (action === "change") {
            member.visibleAtMs = visibleAtMs;
            heap.update(member);
          } else {
            heap.remove(member);
            members.splice(members.indexOf(member), 1);
          }
        }
        expect(heap.size).toBe(members.length);
        expect(drain(heap)).toEqual(inOrder(members));
        expect(members.every(({ heapIndex }) => heapIndex === -1)).toBe(true);
      }),
    );
  });

  it("holds one entry for a member whose deadline moves again and again", () => {
    const heap = new DeadlineHeap<Entry>();
    const member = { row: 1, visibleAtMs: 0, heapIndex: -1 };
    heap.add(member);
    for (let time = 1; time <= 1_000; time += 1) {
      member.visibleAtMs = time;
      heap.update(member);
    }
    expect(heap.size).toBe(1);
  });
});
