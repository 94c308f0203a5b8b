import { useEffect, useRef, useState } from "react";

interface FindFieldProps {
  label: string;
  /** What the address says. */
  value: string;
  onFind: (text: string) => void;
  className?: string;
}

/**
 * A field whose text stands in the address. The address follows a moment later than what is typed: were it shown from
 * there, the cursor would jump to the end of the text with each key.
 */
export function FindField({ label, value, onFind, className }: FindFieldProps) {
  const [text, setText] = useState(value);
  /** What was typed and the address has not said yet. */
  const typed = useRef<string[]>([]);
  useEffect(() => {
    const at = typed.current.indexOf(value);
    typed.current = typed.current.slice(at + 1);
    if (at >= 0) return;
    // The way back, or a link, has changed it.
    typed.current = [];
    setText(value);
  }, [value]);
  return (
    <input
      data-search
      type="search"
      className={className}
      placeholder={label}
      aria-label={label}
      value={text}
      onChange={({ target }) => {
        typed.current.push(target.value);
        setText(target.value);
        onFind(target.value);
      }}
    />
  );
}
