import { createS3Server } from "../../../local/s3/index.ts";
import { credentials } from "./target.ts";

// Started with `fork`: the folder is the argument, the address goes back as a message, and the parent's end is ours.
const [dataDir = ""] = process.argv.slice(2);
const server = await createS3Server({ dataDir, region: "us-east-1", credentials });
process.on("disconnect", () => process.exit());
process.on("message", () => {
  void server.swept.then(() => process.send?.({ swept: true }));
});
process.send?.({ url: server.url });
