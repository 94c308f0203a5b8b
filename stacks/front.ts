import { existsSync } from "node:fs";
import { join } from "node:path";
import { contentSecurityPolicy, referrerPolicy } from "../shared/infrastructure/front-headers.ts";
import { apiPaths } from "../shared/infrastructure/paths.ts";

/** Where the build of the web console leaves its files. */
const consoleFolder = "console/dist";
/** Longer than the pause between two signs of life of a stream (15 s), and the most CloudFront allows by itself. */
const originReadTimeout = "60 seconds";

/**
 * One origin for API and console: a CloudFront distribution that sends the API's paths to its function and everything
 * else to the console's files, where there are any. Nothing of the API is cached: it says `no-store`.
 */
export function createFront(api: sst.aws.Function): { url: $util.Output<string>; hasConsole: boolean } {
  const headers = new aws.cloudfront.ResponseHeadersPolicy("FrontHeaders", {
    comment: "Sluice: for answers that say nothing themselves (the console's files)",
    securityHeadersConfig: {
      contentSecurityPolicy: { contentSecurityPolicy, override: false },
      contentTypeOptions: { override: false },
      frameOptions: { frameOption: "DENY", override: false },
      referrerPolicy: { referrerPolicy, override: false },
      strictTransportSecurity: { accessControlMaxAgeSec: 31_536_000, override: false },
    },
  });
  const router = new sst.aws.Router("Front", {
    transform: {
      cdn: (args) => {
        args.defaultCacheBehavior = $resolve(args.defaultCacheBehavior).apply((behavior) => ({
          ...behavior,
          responseHeadersPolicyId: headers.id,
        }));
      },
    },
  });
  const folder = join($cli.paths.root, consoleFolder);
  const hasConsole = existsSync(join(folder, "index.html"));
  for (const path of hasConsole ? apiPaths : ["/"]) {
    router.route(path, api.url, { readTimeout: originReadTimeout });
  }
  if (hasConsole) new sst.aws.StaticSite("Console", { path: consoleFolder, router: { instance: router, path: "/" } });
  return { url: router.url, hasConsole };
}
