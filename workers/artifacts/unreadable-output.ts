/** Output that cannot be archived through the task's own doing; trying again does not help. */
export class UnreadableOutput extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "UnreadableOutput";
  }
}
