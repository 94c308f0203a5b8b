/** Paths that the API answers, each with all that is below it; every other path is the console's. */
export const apiPaths = ["/v1", "/docs", "/openapi.json", "/healthz", "/readyz"] as const;
