/// <reference path="./.sst/platform/config.d.ts" />

/**
 * Sluice on AWS. What is deployed is in `stacks/`, one module per concern; SST wants them imported from inside only.
 * `npm run plan` evaluates this without an account, `docs/deploy.md` tells how it is deployed.
 */
export default $config({
  async app(input) {
    const { describeStage } = await import("./stacks/stage.ts");
    const { removal, protect } = describeStage(input.stage);
    return {
      name: "sluice",
      home: "aws",
      removal,
      protect,
      // The versions that come with this version of SST: nothing else is downloaded, and plans stay the same.
      providers: { aws: { version: "7.20.0" }, random: { version: "4.16.6" } },
    };
  },
  async run() {
    const { deploy } = await import("./stacks/index.ts");
    return deploy();
  },
});
