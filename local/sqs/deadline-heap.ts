/** What a heap needs of its members: their deadline, and a place to note where in the heap they are. */
export interface Deadlined {
  /** When something happens to the member, in milliseconds since the epoch. */
  visibleAtMs: number;
  /** Decides between equal deadlines: the lower one goes first. */
  readonly row: number;
  /** Position in the heap; -1 outside of it. Only the heap writes it. */
  heapIndex: number;
}

/**
 * A binary heap by deadline. Members know their position, so that a changed deadline moves its one entry: a message
 * whose visibility is extended every few seconds for hours leaves nothing behind.
 */
export class DeadlineHeap<T extends Deadlined> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  get earliest(): T | undefined {
    return this.#members[0];
  }

  add(member: T): void {
    member.heapIndex = this.#members.length;
    this.#members.push(member);
    this.#moveUp(member);
  }

  /** Restores the order after the member's deadline was changed. */
  update(member: T): void {
    this.#moveUp(member);
    this.#moveDown(member);
  }

  remove(member: T): void {
    const last = this.#members.pop();
    if (last !== undefined && last !== member) {
      this.#place(last, member.heapIndex);
      this.update(last);
    }
    member.heapIndex = -1;
  }

  #moveUp(member: T): void {
    while (member.heapIndex > 0) {
      const parentIndex = (member.heapIndex - 1) >> 1;
      const parent = this.#members[parentIndex];
      if (parent === undefined || isBefore(parent, member)) return;
      this.#place(parent, member.heapIndex);
      this.#place(member, parentIndex);
    }
  }

  #moveDown(member: T): void {
    for (;;) {
      const leftIndex = member.heapIndex * 2 + 1;
      const left = this.#members[leftIndex];
      if (left === undefined) return;
      const right = this.#members[leftIndex + 1];
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (!isBefore(child, member)) return;
      const childIndex = child.heapIndex;
      this.#place(child, member.heapIndex);
      this.#place(member, childIndex);
    }
  }

  #place(member: T, index: number): void {
    this.#members[index] = member;
    member.heapIndex = index;
  }
}

function isBefore(one: Deadlined, other: Deadlined): boolean {
  return one.visibleAtMs < other.visibleAtMs || (one.visibleAtMs === other.visibleAtMs && one.row < other.row);
}
