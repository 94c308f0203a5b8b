import { describe, expect, it } from "vitest";
import { type MetadataServer, startMetadataServer } from "../../test/support/metadata-server.ts";
import { readInstance } from "./instance.ts";

function read(metadata: MetadataServer, provider: "local" | "ec2" | "openstack", deadlineMs = 5_000) {
  return readInstance({ provider, endpoint: new URL(metadata.url), deadlineMs, nowMs: Date.now });
}

describe("readInstance", () => {
  it("asks EC2 with a token for the instance's id and type", async () => {
    const metadata = await startMetadataServer();
    expect(await read(metadata, "ec2")).toEqual({ instanceId: "i-0123456789abcdef0", instanceType: "c7g.xlarge" });
  });

  it("asks Nova for the server's uuid and its flavour", async () => {
    const metadata = await startMetadataServer();
    metadata.openStack = { uuid: "83679162-1378-4288-a2d4-70e13ec132aa", meta: {} };
    metadata.ec2.set("instance-type", "m1.large");
    expect(await read(metadata, "openstack")).toEqual({
      instanceId: "83679162-1378-4288-a2d4-70e13ec132aa",
      instanceType: "m1.large",
    });
  });

  it("leaves out what is not told, and takes nothing else for a name", async () => {
    const metadata = await startMetadataServer();
    metadata.ec2.delete("instance-type");
    expect(await read(metadata, "ec2")).toEqual({ instanceId: "i-0123456789abcdef0" });
    metadata.mood = { kind: "all", status: 200, text: "<html>Sign in to this network</html>" };
    expect(await read(metadata, "ec2")).toEqual({});
    expect(await read(metadata, "openstack")).toEqual({});
    metadata.mood = { kind: "all", status: 500, text: "i-0123456789abcdef0" };
    expect(await read(metadata, "ec2")).toEqual({});
  });

  it("gives up at its deadline, and asks nobody where there is no cloud", async () => {
    const metadata = await startMetadataServer();
    metadata.mood = { kind: "silent" };
    expect(await read(metadata, "ec2", 50)).toEqual({});
    const { length } = metadata.asked;
    expect(await read(metadata, "local")).toEqual({});
    expect(metadata.asked).toHaveLength(length);
  });
});
