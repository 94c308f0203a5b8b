declare const SLUICE_BUILD: string | undefined;

/** The commit that this worker was bundled from; undefined where it runs from its sources. Set by scripts/build-worker.ts. */
export const build: string | undefined = typeof SLUICE_BUILD === "undefined" ? undefined : SLUICE_BUILD;
