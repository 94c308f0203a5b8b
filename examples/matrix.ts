import { readdirSync } from "node:fs";
import { defineJob } from "sluice";

// A job file in TypeScript: one task for each shard and each file of a folder, as code of any length may decide.
// sluice run examples/matrix.ts -p shards=2
export default defineJob(({ params }) => {
  const shards = Number(params.shards ?? 3);
  if (!(shards >= 1)) throw new Error(`-p shards takes a number from 1 up, not '${params.shards}'`);
  const scripts = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".yaml"));
  return {
    name: "matrix",
    timeout: "5m",
    steps: [{ run: 'echo "shard $SHARD of $SHARDS looks at $FILES"', env: { SHARDS: String(shards) } }],
    tasks: Array.from({ length: shards }, (_, shard) => ({
      name: `shard-${shard + 1}`,
      env: { SHARD: String(shard + 1), FILES: scripts.filter((_name, at) => at % shards === shard).join(" ") },
    })),
  };
});
