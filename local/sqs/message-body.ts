import { SqsError } from "./errors.ts";

/** Everything outside of what XML 1.0 allows: AWS refuses such messages whole. */
const FORBIDDEN = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u;

/** Refuses text with characters that no message may contain; `subject` begins the sentence, up to its verb. */
export function assertMessageCharacters(text: string, subject = "The message contains"): void {
  const match = FORBIDDEN.exec(text);
  if (match === null) return;
  const codePoint = match[0].codePointAt(0) ?? 0;
  throw new SqsError(
    "InvalidMessageContents",
    `${subject} the character U+${codePoint.toString(16).toUpperCase().padStart(4, "0")}, which is outside of the allowed set: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.`,
  );
}
