const controls = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/**
 * A name or a sentence that came from elsewhere, as one line: line ends become spaces, and what would move the cursor,
 * change colours or turn the reading direction becomes `·`.
 */
export function oneLine(text: string): string {
  return text
    .replace(/\s*[\r\n]+\s*/g, " ")
    .replace(/\t/g, " ")
    .replace(controls, "·");
}
