/** What may be told about a secret: everything but its value. */
export interface SecretInfo {
  name: string;
  /** ISO 8601, UTC. */
  updatedAt: string;
  /** Name of the token by which it was set; absent where it was set past Sluice. */
  updatedBy?: string;
}

/** Where secrets are kept. Names and values are checked by the caller (`secret-rules.ts`). */
export interface SecretStore {
  /** The values of those that exist, by name. */
  get(names: readonly string[]): Promise<Map<string, string>>;
  /** Sets a secret or replaces it, all or nothing. */
  put(secret: SecretInfo, value: string): Promise<void>;
  describe(name: string): Promise<SecretInfo | undefined>;
  /** One page of what exists, in no promised order; a page may hold fewer than `limit` though others follow. */
  list(page: { limit: number; cursor?: string | undefined }): Promise<{ secrets: SecretInfo[]; cursor?: string }>;
  /** False where there was none. */
  delete(name: string): Promise<boolean>;
}
