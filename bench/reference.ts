import { spawn } from "node:child_process";
import { once } from "node:events";
import Docker from "dockerode";

/** Milliseconds from asking Docker for a container on the default bridge to the first byte it prints. */
export async function timeBareContainer(image: string): Promise<number> {
  const docker = new Docker();
  const startedAt = performance.now();
  const container = await docker.createContainer({
    Image: image,
    Cmd: ["echo", "started"],
    HostConfig: { LogConfig: { Type: "none", Config: {} } },
  });
  try {
    const output = await container.attach({ stream: true, stdout: true });
    const firstByte = once(output, "data");
    await container.start();
    await firstByte;
    const elapsedMs = performance.now() - startedAt;
    await container.wait();
    return elapsedMs;
  } finally {
    await container.remove({ force: true });
  }
}

/** Milliseconds from starting a process to the first byte it prints. */
export async function timeBareProcess(): Promise<number> {
  const startedAt = performance.now();
  const child = spawn("echo", ["started"], { stdio: ["ignore", "pipe", "ignore"] });
  await once(child.stdout, "data");
  const elapsedMs = performance.now() - startedAt;
  await once(child, "close");
  return elapsedMs;
}
