/** What a list needs of its members: they carry their neighbours themselves, so that leaving from the middle is cheap. */
export interface Linked<T> {
  previous: T | undefined;
  next: T | undefined;
}

/** A doubly linked list without nodes of its own. A member is in one list at most; whoever adds it keeps to that. */
export class LinkedList<T extends Linked<T>> {
  #first: T | undefined;
  #last: T | undefined;

  get first(): T | undefined {
    return this.#first;
  }

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  pushBack(member: T): void {
    member.previous = this.#last;
    member.next = undefined;
    if (this.#last === undefined) this.#first = member;
    else this.#last.next = member;
    this.#last = member;
  }

  pushFront(member: T): void {
    member.previous = undefined;
    member.next = this.#first;
    if (this.#first === undefined) this.#last = member;
    else this.#first.previous = member;
    this.#first = member;
  }

  remove(member: T): void {
    if (member.previous === undefined) this.#first = member.next;
    else member.previous.next = member.next;
    if (member.next === undefined) this.#last = member.previous;
    else member.next.previous = member.previous;
    member.previous = undefined;
    member.next = undefined;
  }
}
