import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { type ControlPlane, createControlPlane, type EmbeddedCloud, startEmbeddedCloud } from "./control-plane.ts";

/** One embedded cloud for the tests of a file, and for each test a control plane of its own in it. */
export function useControlPlane(options: { pools?: readonly string[] } = {}): () => ControlPlane {
  let cloud: EmbeddedCloud;
  let plane: ControlPlane;
  beforeAll(async () => {
    cloud = await startEmbeddedCloud();
  });
  afterAll(() => cloud.stop());
  beforeEach(async () => {
    plane = await createControlPlane(cloud, options);
  });
  afterEach(() => plane.close());
  return () => plane;
}
