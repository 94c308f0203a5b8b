import { AlertDialog } from "@base-ui/react/alert-dialog";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Button } from "./button.tsx";
import { explainError } from "./error-panel.tsx";

interface ConfirmProps {
  /** On the button that opens the question. */
  label: string;
  title: string;
  children: ReactNode;
  /** On the button that does it. */
  action: string;
  kind?: "primary" | "danger";
  disabled?: boolean;
  onConfirm: () => Promise<unknown>;
}

/**
 * A button that asks before it acts, and stays with its question until the answer of the API is there. A page may have
 * hundreds: the question is made when it is asked for.
 */
export function Confirm(props: ConfirmProps) {
  const [isAsked, setAsked] = useState(false);
  if (isAsked) return <Question {...props} />;
  return (
    <Button disabled={props.disabled} aria-haspopup="dialog" onClick={() => setAsked(true)}>
      {props.label}
    </Button>
  );
}

function Question(props: ConfirmProps) {
  const [open, setOpen] = useState(true);
  // What is asked stays as it was read, whatever becomes of its object meanwhile: `Drain` must not turn into `Undrain`.
  const [{ title, children, action, kind = "primary", onConfirm }, setAsked] = useState(props);
  const acting = useMutation({ mutationFn: onConfirm, onSuccess: () => setOpen(false) });
  const change = (next: boolean) => {
    if (next) {
      acting.reset();
      setAsked(props);
    }
    setOpen(next);
  };
  return (
    <AlertDialog.Root open={open} onOpenChange={change}>
      <AlertDialog.Trigger render={<Button disabled={props.disabled ?? false} />}>{props.label}</AlertDialog.Trigger>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="backdrop" />
        <AlertDialog.Popup className="dialog">
          <AlertDialog.Title className="dialog-title">{title}</AlertDialog.Title>
          <AlertDialog.Description render={<div />}>{children}</AlertDialog.Description>
          {acting.error ? (
            <p role="alert" className="bad">
              {explainError(acting.error)}
            </p>
          ) : null}
          <div className="dialog-buttons">
            <AlertDialog.Close render={<Button />}>Back</AlertDialog.Close>
            <Button kind={kind} disabled={acting.isPending} onClick={() => acting.mutate()}>
              {acting.isPending ? "Asking…" : action}
            </Button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
