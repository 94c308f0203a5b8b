import { Dialog } from "@base-ui/react/dialog";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { Button } from "../ui/button.tsx";
import { places } from "./places.ts";

/** The second key of two has so long to come. */
const chordMs = 1_200;

const help: readonly (readonly [string, string])[] = [
  ["/", "search on this page"],
  ...places.map(({ key, label }) => [`g ${key}`, label.toLowerCase()] as const),
  ["j  k", "next, previous row"],
  ["Enter", "open the row"],
  ["n  N", "next, previous match in a log"],
  ["?", "this help"],
];

/** Whether the key is meant for a field, or for a dialog or menu, which have keys of their own. */
export function isKeyTaken(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable ||
      /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) ||
      document.querySelector("[role=dialog], [role=alertdialog], [role=menu]") !== null)
  );
}

/** Moves the focus among what is marked as a row of the page. */
function moveRow(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
  const at = rows.indexOf(document.activeElement?.closest<HTMLElement>("[data-row]") ?? document.body);
  const next = rows[at === -1 ? (step === 1 ? 0 : rows.length - 1) : at + step];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** The keys that work on every page. */
export function useShortcuts() {
  const navigate = useNavigate();
  const [isHelpShown, setHelpShown] = useState(false);
  useEffect(() => {
    let pendingUntilMs = 0;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isKeyTaken(event.target)) return;
      const follows = performance.now() < pendingUntilMs;
      pendingUntilMs = 0;
      const place = follows ? places.find(({ key }) => key === event.key) : undefined;
      if (place) {
        event.preventDefault();
        void navigate({ to: place.to });
      } else if (event.key === "g") pendingUntilMs = performance.now() + chordMs;
      else if (event.key === "j") moveRow(1);
      else if (event.key === "k") moveRow(-1);
      else if (event.key === "?") setHelpShown(true);
      else if (event.key === "/") {
        const field = document.querySelector<HTMLElement>("[data-search]");
        if (!field) return;
        event.preventDefault();
        field.focus();
      }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [navigate]);
  return { isHelpShown, showHelp: () => setHelpShown(true), hideHelp: () => setHelpShown(false) };
}

/** The list of keys. */
export function ShortcutHelp({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog.Root open={open} onOpenChange={(next) => (next ? undefined : onClose())}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup className="dialog">
          <Dialog.Title className="dialog-title">Keyboard</Dialog.Title>
          <dl className="keys">
            {help.map(([keys, what]) => (
              <div key={keys}>
                <dt>{keys.split(" ").map((key) => (key === "" ? " " : <kbd key={key}>{key}</kbd>))}</dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
          <div className="dialog-buttons">
            <Dialog.Close render={<Button />}>Close</Dialog.Close>
          </div>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
