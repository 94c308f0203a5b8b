import { ConnectionError, createApiClient } from "../../shared/api-client/index.ts";
import { consoleHeader } from "../../shared/domain/console-session.ts";

const sessionPath = "/v1/session";
const refusals = new Set<() => void>();

/** Tells when the API does not know who asks any more: the token was revoked, or another tab has signed out. */
export function onSignedOut(listener: () => void): () => void {
  refusals.add(listener);
  return () => refusals.delete(listener);
}

async function fetchSignedIn(...[input, init]: Parameters<typeof fetch>): Promise<Response> {
  const url = String(input);
  let response: Response;
  try {
    response = await fetch(input, init);
  } catch (error) {
    // A browser does not say why there was no answer; a stack that starts again is back within a few tries.
    if (error instanceof TypeError) throw new ConnectionError("reset", window.location.origin, error.message, error);
    throw error;
  }
  const isAskedWhoCalls = new URL(url).pathname === sessionPath;
  if (response.status === 401 && !isAskedWhoCalls) for (const listener of refusals) listener();
  return response;
}

/** The API of the origin that the console came from; the browser adds the cookie of its session. */
export const api = createApiClient({
  url: window.location.origin,
  headers: { [consoleHeader.name]: consoleHeader.value },
  fetch: fetchSignedIn,
});
