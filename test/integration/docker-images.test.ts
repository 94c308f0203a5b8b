import { randomUUID } from "node:crypto";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import Docker from "dockerode";
import { afterEach, describe, expect, it } from "vitest";
import { needDocker } from "../support/docker.ts";
import { ensureBusyboxImage, ensureRedisImage } from "../support/docker-images.ts";

const docker = new Docker();
const made: string[] = [];

afterEach(async () => {
  for (const tag of made.splice(0)) await docker.getImage(tag).remove({ force: true });
});

function nameImage(): string {
  const tag = `sluice-test-${randomUUID()}:1`;
  made.push(tag);
  return tag;
}

/** Runs a command in a new container and returns its exit code with what it printed. */
async function run(image: string, command: string[], user = "") {
  const output = new PassThrough();
  const printed = text(output);
  const [result] = await docker.run(image, command, output, {
    Tty: true,
    User: user,
    HostConfig: { AutoRemove: true },
  });
  output.end();
  return { code: result.StatusCode as number, output: (await printed).replaceAll("\r\n", "\n").trim() };
}

describe("images made on this machine", () => {
  it("hold a busybox with its applets, users and a temporary folder for everybody", async (context) => {
    if (!(await needDocker(context))) return;
    const tag = nameImage();
    expect(await ensureBusyboxImage(docker, tag)).toBe(tag);
    expect(await run(tag, ["sh", "-c", "id -un; echo $HOME; echo b a | tr ' ' '\\n' | sort | head -n1"])).toEqual({
      code: 0,
      output: "root\n/root\na",
    });
    expect(await run(tag, ["sh", "-c", "echo written > /tmp/file && cat /tmp/file"], "1234:1234")).toEqual({
      code: 0,
      output: "written",
    });
    expect(await run(tag, ["/usr/bin/env", "true"])).toEqual({ code: 0, output: "" });
  });

  it("hold a Redis that answers its own client", async (context) => {
    if (!(await needDocker(context))) return;
    const tag = nameImage();
    expect(await ensureRedisImage(docker, tag)).toBe(tag);
    const script = `redis-server --save '' --daemonize yes --logfile /tmp/log
      i=0; until redis-cli ping >/dev/null 2>&1 || [ $i = 100 ]; do i=$((i+1)); sleep 0.1; done; redis-cli ping`;
    expect((await run(tag, ["sh", "-c", script])).output.split("\n").at(-1)).toBe("PONG");
  });

  it("are kept when they are there", async (context) => {
    if (!(await needDocker(context))) return;
    const tag = nameImage();
    await ensureBusyboxImage(docker, tag);
    const { Id } = await docker.getImage(tag).inspect();
    await ensureBusyboxImage(docker, tag);
    expect((await docker.getImage(tag).inspect()).Id).toBe(Id);
  });
});

describe("an image that can be neither made nor pulled", () => {
  it("is an error that says what to do", async () => {
    // A Docker without images, on another processor, that reaches no registry.
    const isolated = Object.create(docker, {
      listImages: { value: async () => [] },
      version: { value: async () => ({ Os: "linux", Arch: "other" }) },
      pull: { value: () => Promise.reject(new Error("no route")) },
    });
    await expect(ensureBusyboxImage(isolated)).rejects.toThrow(
      "Docker has no image busybox:stable and cannot pull it: run docker pull busybox:stable, or install a busybox",
    );
    await expect(ensureRedisImage(isolated)).rejects.toThrow("or install Redis 7");
  });
});
