import type { Role } from "../domain/roles.ts";
import { tokenKey } from "./keys.ts";

/** Who a token belongs to. `name` stands in events and audits. */
export interface Principal {
  name: string;
  role: Role;
}

/** The item by which a token is known, from its SHA-256 in hex. Written by the control plane, and by a deployment. */
export function tokenItem(tokenSha256: string, { name, role }: Principal) {
  return { ...tokenKey(tokenSha256), type: "token", name, role };
}
