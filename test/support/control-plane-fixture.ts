import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import {
  type ControlPlane,
  type ControlPlaneOptions,
  createControlPlane,
  type EmbeddedCloud,
  type EmbeddedCloudOptions,
  startEmbeddedCloud,
} from "./control-plane.ts";

/** One embedded cloud for the tests of a file, and for each test a control plane of its own in it. */
export function useControlPlane(options: ControlPlaneOptions & EmbeddedCloudOptions = {}): () => ControlPlane {
  let cloud: EmbeddedCloud;
  let plane: ControlPlane;
  beforeAll(async () => {
    cloud = await startEmbeddedCloud(options);
  });
  afterAll(() => cloud.stop());
  beforeEach(async () => {
    plane = await createControlPlane(cloud, options);
  });
  afterEach(() => plane.close());
  return () => plane;
}
