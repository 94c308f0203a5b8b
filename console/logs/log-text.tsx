import Anser from "anser";
import { Fragment, memo } from "react";

/** What a terminal would show of a line that was written over: what came after the last return. */
function overwrite(text: string): string {
  const end = text.endsWith("\r") ? text.length - 1 : text.length;
  return text.slice(text.lastIndexOf("\r", end - 1) + 1, end);
}

/** The text of a line with the colours that its program chose; everything else in it is text. */
export const LogText = memo(function LogText({ text, find }: { text: string; find: string }) {
  const shown = overwrite(text);
  if (!shown.includes("\u001b")) return <Marked text={shown} find={find} />;
  const parts = Anser.ansiToJson(shown, { json: true, remove_empty: true, use_classes: true });
  return parts.map((part, index) => {
    const classes = [
      part.fg && `${part.fg}-fg`,
      part.bg && `${part.bg}-bg`,
      ...(part.decorations ?? []).map((decoration) => `ansi-${decoration}`),
    ].filter(Boolean);
    const color = part.fg_truecolor ? `rgb(${part.fg_truecolor})` : undefined;
    const background = part.bg_truecolor ? `rgb(${part.bg_truecolor})` : undefined;
    return (
      // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a line never move
      <span key={index} className={classes.join(" ")} style={{ color, background }}>
        <Marked text={part.content} find={find} />
      </span>
    );
  });
});

function Marked({ text, find }: { text: string; find: string }) {
  if (find === "") return text;
  const parts: { text: string; isMatch: boolean; at: number }[] = [];
  const lower = text.toLowerCase();
  let from = 0;
  for (let at = lower.indexOf(find); at !== -1; at = lower.indexOf(find, from)) {
    parts.push({ text: text.slice(from, at), isMatch: false, at: from });
    parts.push({ text: text.slice(at, at + find.length), isMatch: true, at });
    from = at + find.length;
  }
  parts.push({ text: text.slice(from), isMatch: false, at: from });
  return parts.map((part) => (
    <Fragment key={`${part.at}${part.isMatch}`}>{part.isMatch ? <mark>{part.text}</mark> : part.text}</Fragment>
  ));
}
