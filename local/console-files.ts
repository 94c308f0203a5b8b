import { existsSync } from "node:fs";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { join } from "node:path";
import sirv from "sirv";
import { contentSecurityPolicy, referrerPolicy } from "../shared/infrastructure/front-headers.ts";
import { apiPaths } from "../shared/infrastructure/paths.ts";

const headers = {
  "content-security-policy": contentSecurityPolicy,
  "referrer-policy": referrerPolicy,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/**
 * One origin for API and console, as the front on AWS has it: the API's paths go to its function, every other path is a
 * file of the console or one of its pages.
 */
export function createFront(api: RequestListener, consoleFolder: string): RequestListener {
  const files = existsSync(join(consoleFolder, "index.html")) ? serveFiles(consoleFolder) : explainMissing;
  return (request, response) => (isApiPath(request.url ?? "/") ? api : files)(request, response);
}

function isApiPath(url: string): boolean {
  const path = url.split("?", 1)[0] ?? "";
  return apiPaths.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));
}

function serveFiles(folder: string): RequestListener {
  const serve = sirv(folder, {
    // Reads the folder at each request: the console may be built again under a running stack.
    dev: true,
    // A page of the console is its index: the path says which one it shows.
    single: true,
    setHeaders: (response, path) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      const isNamedByContent = path.startsWith("/assets/");
      response.setHeader("cache-control", isNamedByContent ? "public, max-age=31536000, immutable" : "no-cache");
    },
  });
  return (request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD") return answer(response, 405, "only GET and HEAD\n");
    serve(request, response, () => answer(response, 404, "there is no such file\n"));
  };
}

function explainMissing(_request: IncomingMessage, response: ServerResponse): void {
  answer(response, 503, "the console is not built: run `npm run build:console` and start the stack again\n");
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { ...headers, "content-type": "text/plain; charset=utf-8" }).end(text);
}
