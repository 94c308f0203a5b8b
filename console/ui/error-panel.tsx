import { ApiError, ConnectionError } from "../../shared/api-client/index.ts";
import { Button } from "./button.tsx";

interface ErrorPanelProps {
  title: string;
  error: Error;
  onRetry?: (() => void) | undefined;
}

/** What went wrong with one part of a page, and what to do; the rest of the page stays. */
export function ErrorPanel({ title, error, onRetry }: ErrorPanelProps) {
  return (
    <section className="panel panel-error" role="alert">
      <h2>{title}</h2>
      <p>{explainError(error)}</p>
      {error instanceof ApiError && error.requestId ? (
        <p className="dim">
          Request <code>{error.requestId}</code>
        </p>
      ) : null}
      {onRetry ? <Button onClick={onRetry}>Try again</Button> : null}
    </section>
  );
}

/** An error in a sentence. */
export function explainError(error: Error): string {
  if (error instanceof ConnectionError) return "There is no answer from the control plane.";
  return error.message;
}
