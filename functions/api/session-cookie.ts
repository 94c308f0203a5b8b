import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { consoleHeader } from "../../shared/domain/console-session.ts";

const sessionSeconds = 30 * 24 * 3600;
const readMethods = new Set(["GET", "HEAD"]);

/** Browsers keep the cookies of all ports of a host together: stacks beside each other need names of their own. */
function cookieName(c: Context): string {
  const { port } = new URL(c.req.url);
  return port === "" ? "sluice" : `sluice-${port}`;
}

/** No script reads it, no other site makes a browser send it, and only the API gets it. */
function cookieOptions(c: Context) {
  const secure = new URL(c.req.url).protocol === "https:";
  return { httpOnly: true, sameSite: "Strict", path: "/v1", secure } as const;
}

/** Lets the browser that asked keep a token. */
export function openSession(c: Context, token: string): void {
  setCookie(c, cookieName(c), token, { ...cookieOptions(c), maxAge: sessionSeconds });
}

/** Lets the browser that asked forget its token. */
export function closeSession(c: Context): void {
  deleteCookie(c, cookieName(c), cookieOptions(c));
}

/** The token of a browser's session; `forged` where a page of somebody else may have sent what changes something. */
export function readSession(c: Context): { token?: string | undefined; forged: boolean } {
  const forged = !readMethods.has(c.req.method) && c.req.header(consoleHeader.name) !== consoleHeader.value;
  return { token: getCookie(c, cookieName(c)), forged };
}
