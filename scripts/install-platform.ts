/** Makes sure that SST's platform is in `.sst`: the stacks' types come from there. */
import { installPlatform } from "./plan/install.ts";

await installPlatform((line) => process.stdout.write(`${line}\n`));
