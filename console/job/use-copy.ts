import { useEffect, useState } from "react";

const toldForMs = 2_000;

/** Copies a text, and whether that has just been done. */
export function useCopy(text: string): [copied: boolean, copy: () => void] {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), toldForMs);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    // Browsers have no clipboard for pages that came without TLS from another machine, and may refuse it: the text is
    // there to be selected.
    void navigator.clipboard?.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return [copied, copy];
}
