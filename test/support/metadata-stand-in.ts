import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** What it answers to anything. */
export const metadataAnswer = "credentials of the machine";

const server = `require("node:http").createServer((_, answer) => answer.end(${JSON.stringify(metadataAnswer)}))
  .listen(80, "169.254.169.254", () => console.log("up"))`;

/**
 * A metadata service where clouds have theirs: on a machine beside this one, to which 169.254.169.254 is routed. Needs
 * root; undefined where that cannot be had. It answers whoever on this machine asks, until `stop`.
 */
export async function startMetadataStandIn(): Promise<{ stop: () => Promise<void> } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const name = `sluice${process.pid % 100_000}`;
  const inside = `${name}i`;
  const ip = (...args: string[]) => execFileSync("ip", args, { stdio: "pipe" });
  let child: ChildProcess | undefined;
  const stop = async () => {
    child?.kill("SIGKILL");
    if (child !== undefined && child.exitCode === null && child.signalCode === null) await once(child, "exit");
    // Takes both ends of the cable and the route along.
    ip("netns", "delete", name);
  };
  try {
    ip("netns", "add", name);
  } catch (error) {
    process.stderr.write(`no stand-in of the metadata service: ${String(error)}\n`);
    return undefined;
  }
  try {
    ip("link", "add", name, "type", "veth", "peer", "name", inside, "netns", name);
    ip("link", "set", name, "up");
    ip("route", "add", "169.254.169.254/32", "dev", name);
    ip("-n", name, "link", "set", "lo", "up");
    ip("-n", name, "address", "add", "169.254.169.254/32", "dev", inside);
    ip("-n", name, "link", "set", inside, "up");
    ip("-n", name, "route", "add", "default", "dev", inside);
    // Who asks is one cable away, whatever its address.
    execFileSync("sysctl", ["-q", "-w", `net.ipv4.conf.${name}.proxy_arp=1`]);
    child = spawn("ip", ["netns", "exec", name, process.execPath, "-e", server], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    await Promise.race([once(lines, "line"), once(child, "exit").then(() => Promise.reject(new Error("it ended")))]);
    return { stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
