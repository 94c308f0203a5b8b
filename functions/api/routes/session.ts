import { createRoute } from "@hono/zod-openapi";
import { openSessionSchema, sessionSchema } from "../../../shared/api/schemas.ts";
import type { Deps } from "../../deps.ts";
import { findPrincipal } from "../auth.ts";
import { createRouter, jsonAnswer, jsonBody, problemAnswer, securedRoute } from "../route.ts";
import { closeSession, openSession } from "../session-cookie.ts";

const openRoute = createRoute({
  method: "post",
  path: "/v1/session",
  summary: "Sign a browser in",
  description:
    "The token is kept in a cookie that no script can read. Requests that come with the cookie and change something need the header `x-sluice-console: 1`, which pages of other origins cannot send.",
  request: { body: jsonBody(openSessionSchema) },
  responses: { 200: jsonAnswer(sessionSchema, "Who signed in."), default: problemAnswer },
});

const readRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/session",
  summary: "Say who calls",
  responses: { 200: jsonAnswer(sessionSchema, "Name and role of the token.") },
});

const closeRoute = createRoute({
  method: "delete",
  path: "/v1/session",
  summary: "Sign a browser out",
  responses: { 204: { description: "The cookie is gone." } },
});

/** Sessions of browsers; they are signed in by one of these, so only reading one needs a token. */
export function sessionDoors(deps: Pick<Deps, "tokens">) {
  return createRouter()
    .openapi(openRoute, async (c) => {
      const { token } = c.req.valid("json");
      const { name, role } = await findPrincipal(deps, token);
      openSession(c, token);
      return c.json({ name, role }, 200);
    })
    .openapi(closeRoute, (c) => {
      closeSession(c);
      return c.body(null, 204);
    });
}

/** Who is signed in. */
export function sessionRoutes() {
  return createRouter().openapi(readRoute, (c) => {
    const { name, role } = c.var.principal;
    return c.json({ name, role }, 200);
  });
}
