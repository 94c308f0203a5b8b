import type { Context, MiddlewareHandler } from "hono";
import { consoleHeader } from "../../shared/domain/console-session.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { type Role, roleIncludes } from "../../shared/domain/roles.ts";
import type { Principal } from "../../shared/repository/tokens.ts";
import type { Deps } from "../deps.ts";
import { readSession } from "./session-cookie.ts";

/** What a request's context carries once it is past the door. */
export interface ApiEnv {
  Variables: { principal: Principal; requestId: string };
}

/** A revoked token is refused after so long at the latest. */
const tokenMemoryMs = 30_000;
const rememberedTokens = 1000;

/** Finds out who calls; `requireRole` then says whether they may. */
export function authenticate(deps: Pick<Deps, "tokens" | "now">): MiddlewareHandler<ApiEnv> {
  const known = new Map<string, { principal: Principal; untilMs: number }>();
  return async (c, next) => {
    const token = readToken(c);
    const remembered = known.get(token);
    const principal =
      remembered && remembered.untilMs > deps.now() ? remembered.principal : await findPrincipal(deps, token);
    if (!remembered || remembered.untilMs <= deps.now()) {
      if (known.size >= rememberedTokens) known.clear();
      known.set(token, { principal, untilMs: deps.now() + tokenMemoryMs });
    }
    c.set("principal", principal);
    await next();
  };
}

/** The token that a request came with: in its header, or in the cookie of a browser that is signed in. */
function readToken(c: Context): string {
  const sent = /^Bearer (.+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
  if (sent) return sent;
  const { token, forged } = readSession(c);
  if (!token) throw new AppError("unauthorized", "send a token: `Authorization: Bearer <token>`");
  if (forged) {
    throw new AppError("forbidden", `a browser's session changes things only with the header ${consoleHeader.name}`);
  }
  return token;
}

/** Whose a token is; throws where it is nobody's. */
export async function findPrincipal(deps: Pick<Deps, "tokens">, token: string): Promise<Principal> {
  const principal = await deps.tokens.find(token);
  if (!principal) throw new AppError("unauthorized", "this token is not known here; check SLUICE_TOKEN or --token");
  return principal;
}

/** Lets only those pass whose role includes the one required. */
export function requireRole(role: Role): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const { principal } = c.var;
    if (!roleIncludes(principal.role, role)) {
      throw new AppError("forbidden", `${principal.name} has the role ${principal.role}; this needs the role ${role}`);
    }
    await next();
  };
}
