import { html } from "hono/html";

interface DocumentedOperation {
  summary?: string;
  description?: string;
}

interface OpenApiDocument {
  info: { title: string; version: string };
  paths?: object;
}

/** `/docs`: the routes, readable without scripts or anything from elsewhere. */
export function renderDocs(document: OpenApiDocument) {
  const routes = Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, DocumentedOperation>).map(([method, operation]) => ({
      path,
      method,
      ...operation,
    })),
  );
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${document.info.title}</title>
        <style>
          body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
          :root { color-scheme: light dark; }
          code { font: 14px ui-monospace, monospace; }
          .method { display: inline-block; width: 4rem; text-transform: uppercase; opacity: 0.7; }
          dt { margin-top: 0.8rem; }
          dd { margin: 0 0 0 4rem; }
        </style>
      </head>
      <body>
        <h1>${document.info.title}</h1>
        <p>Send <code>Authorization: Bearer &lt;token&gt;</code>. Bodies and answers are described in <a href="/openapi.json">/openapi.json</a>.</p>
        <dl>
          ${routes.map(
            (route) =>
              html`<dt><code><span class="method">${route.method}</span>${route.path}</code></dt>
                <dd>${route.summary ?? ""}${route.description ? html`<br /><small>${route.description}</small>` : ""}</dd>`,
          )}
        </dl>
      </body>
    </html>`;
}
