import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** The module of one function's source. */
interface Modules {
  api: typeof import("../../functions/api/main.ts");
  fold: typeof import("../../functions/consumers/fold-main.ts");
  chores: typeof import("../../functions/consumers/chores-main.ts");
  deadLetters: typeof import("../../functions/consumers/dead-letters-main.ts");
  sweep: typeof import("../../functions/schedules/sweep-main.ts");
}

/**
 * The functions: their sources, or the bundles that SST made of them for AWS, where the folder of those is given
 * (`.sst/artifacts` after `npm run plan`). Each bundle is in a folder named after its function.
 */
export async function loadFunctions(bundleFolder: string | undefined): Promise<Modules> {
  if (bundleFolder === undefined) {
    return {
      api: await import("../../functions/api/main.ts"),
      fold: await import("../../functions/consumers/fold-main.ts"),
      chores: await import("../../functions/consumers/chores-main.ts"),
      deadLetters: await import("../../functions/consumers/dead-letters-main.ts"),
      sweep: await import("../../functions/schedules/sweep-main.ts"),
    };
  }
  const load = async <Name extends keyof Modules>(name: Name): Promise<Modules[Name]> => {
    const component = name.replace(/^./, (letter) => letter.toUpperCase());
    return import(pathToFileURL(resolve(join(bundleFolder, `${component}-src`, "bundle.mjs"))).href);
  };
  return {
    api: await load("api"),
    fold: await load("fold"),
    chores: await load("chores"),
    deadLetters: await load("deadLetters"),
    sweep: await load("sweep"),
  };
}
