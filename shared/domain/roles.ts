/** What a token may do. The human roles include those before them; `worker` stands apart. */
export const roles = ["viewer", "submitter", "operator", "admin", "worker"] as const;
export type Role = (typeof roles)[number];

const rank: Record<Exclude<Role, "worker">, number> = { viewer: 0, submitter: 1, operator: 2, admin: 3 };

/** Tells whether a role includes what is required. A worker has its own routes and no others. */
export function roleIncludes(role: Role, required: Role): boolean {
  if (role === "worker" || required === "worker") return role === required;
  return rank[role] >= rank[required];
}
