/**
 * A browser sends the cookie of its session by itself, whoever made it send a request. This header it does not: a page
 * of another origin would have to be allowed to, and none is. What changes something and comes by cookie must have it.
 */
export const consoleHeader = { name: "x-sluice-console", value: "1" } as const;
