import { createApiClient } from "../../shared/api-client/index.ts";
import { consoleHeader } from "../../shared/domain/console-session.ts";

/** The API of the origin that the console came from; the browser adds the cookie of its session. */
export const api = createApiClient({
  url: window.location.origin,
  headers: { [consoleHeader.name]: consoleHeader.value },
});
