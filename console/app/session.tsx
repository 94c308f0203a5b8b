import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useEffect, useId, useState } from "react";
import type { Session } from "../../shared/api/schemas.ts";
import { ApiError } from "../../shared/api-client/index.ts";
import { type Role, roleIncludes } from "../../shared/domain/roles.ts";
import { api } from "../api/client.ts";
import { Button } from "../ui/button.tsx";
import { ErrorPanel, explainError } from "../ui/error-panel.tsx";

const sessionKey = ["session"];
const tokenMark = "#token=";

/** The token of a link that nobody has answered yet: the address has it no more, and a second try needs it. */
let linkToken: string | undefined;

/** Takes the token out of the link that `sluice dev` printed: it is used once and stays in no history. */
async function enter(): Promise<Session> {
  const { hash, pathname, search } = window.location;
  if (hash.startsWith(tokenMark)) {
    linkToken = hash.slice(tokenMark.length);
    window.history.replaceState(null, "", pathname + search);
  }
  if (linkToken === undefined) return api.getSession();
  try {
    const session = await api.openSession(readToken(linkToken));
    linkToken = undefined;
    return session;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // A server that is not well, or is asked too often, may take it later.
    if (error.status < 500 && error.status !== 429) linkToken = undefined;
    throw error.status === 401 ? new RefusedLink(error) : error;
  }
}

/** A link may have been cut or changed on its way; what is left of it is refused like any other wrong token. */
function readToken(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (error) {
    if (error instanceof URIError) return encoded;
    throw error;
  }
}

/** The token of the link that was opened is none. */
class RefusedLink extends Error {
  constructor(cause: Error) {
    super("The token of this link is not known here. Open a newer link, or sign in by a token.", { cause });
  }
}

function isSignedOut(error: Error): boolean {
  return error instanceof RefusedLink || (error instanceof ApiError && error.status === 401);
}

/** Who is signed in; below `SessionGate` there is always somebody. */
export function useSession(): Session {
  const { data } = useQuery({ queryKey: sessionKey, queryFn: enter, staleTime: Number.POSITIVE_INFINITY });
  return data ?? { name: "", role: "viewer" };
}

/** Whether who is signed in may do what needs the role. */
export function useMay(role: Role): boolean {
  return roleIncludes(useSession().role, role);
}

/** Ends the session of this browser; `error` while it could not be ended. */
export function useSignOut(): { signOut: () => void; error: Error | null; forgive: () => void } {
  const queries = useQueryClient();
  const { mutate, error, reset } = useMutation({
    mutationFn: () => api.closeSession(),
    onSuccess: () => queries.resetQueries(),
  });
  return { signOut: mutate, error, forgive: reset };
}

/** Shows the console to who is signed in, and the way in to everybody else. */
export function SessionGate({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const session = useQuery({ queryKey: sessionKey, queryFn: enter, staleTime: Number.POSITIVE_INFINITY, retry: false });
  useEffect(() => {
    // A link that is opened in a tab which has the console already loads nothing anew.
    const onHash = () => {
      if (window.location.hash.startsWith(tokenMark)) void queries.resetQueries({ queryKey: sessionKey });
    };
    window.addEventListener("hashchange", onHash);
    return () => window.removeEventListener("hashchange", onHash);
  }, [queries]);
  if (session.data) return children;
  if (session.error && !isSignedOut(session.error)) {
    return (
      <main className="door">
        <ErrorPanel title="The console cannot reach its API" error={session.error} onRetry={() => session.refetch()} />
      </main>
    );
  }
  if (!session.error) return <main className="door" aria-busy="true" aria-label="Signing in" />;
  const notice = session.error instanceof RefusedLink ? session.error.message : undefined;
  return <SignIn notice={notice} onSignedIn={(opened) => queries.setQueryData(sessionKey, opened)} />;
}

interface SignInProps {
  /** Why the way in stands here. */
  notice: string | undefined;
  onSignedIn: (session: Session) => void;
}

function SignIn({ notice, onSignedIn }: SignInProps) {
  const [token, setToken] = useState("");
  const fieldId = useId();
  const opening = useMutation({ mutationFn: () => api.openSession(token.trim()), onSuccess: onSignedIn });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (token.trim() !== "") opening.mutate();
  };
  return (
    <main className="door">
      <form className="door-card" onSubmit={submit}>
        <h1>
          <img src="/icon.svg" alt="" width="28" height="28" /> Sluice
        </h1>
        <label htmlFor={fieldId}>Token</label>
        <input
          id={fieldId}
          name="token"
          type="password"
          autoComplete="current-password"
          spellCheck={false}
          value={token}
          onChange={(event) => setToken(event.target.value)}
          aria-invalid={opening.isError}
          aria-describedby={`${fieldId}-help`}
        />
        <p id={`${fieldId}-help`} className="dim">
          On a local stack, open the link that <code>sluice dev</code> prints. Elsewhere use the token that you were
          given; it is kept in a cookie that no script can read.
        </p>
        {opening.error || notice ? (
          <p role="alert" className="bad">
            {opening.error ? explainRefusal(opening.error) : notice}
          </p>
        ) : null}
        <Button type="submit" kind="primary" disabled={token.trim() === "" || opening.isPending}>
          {opening.isPending ? "Signing in…" : "Sign in"}
        </Button>
      </form>
    </main>
  );
}

function explainRefusal(error: Error): string {
  return isSignedOut(error) ? "This token is not known here." : explainError(error);
}
