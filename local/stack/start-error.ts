/** A reason why the stack cannot start, as a sentence for its user. */
export class StartError extends Error {}
