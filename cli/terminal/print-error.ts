import type { Output } from "./output.ts";

/** Tells a user what went wrong: the message after a red `error:`, its details under it. */
export function printError(err: Output, { message, details }: { message: string; details: readonly string[] }): void {
  err.writeLines([`${err.style(["bold", "red"], "error:")} ${message}`, ...details]);
}
