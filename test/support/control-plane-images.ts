import { createHash } from "node:crypto";
import type { BlobUpload } from "../../shared/api/image-schemas.ts";
import type { ControlPlane } from "./control-plane.ts";

/** A digest to call a blob by; what is in it is nothing to the control plane. */
export function blobDigest(name: string): string {
  return `sha256:${createHash("sha256").update(name).digest("hex")}`;
}

/** Ships a small blob, as the CLI does it. */
export async function shipBlob(plane: ControlPlane, digest: string, content = "a blob"): Promise<void> {
  const path = `/v1/images/${digest}/upload`;
  const body = { bytes: Buffer.byteLength(content) };
  const upload = await plane.call<BlobUpload>(path, { body, role: "submitter" });
  if (upload.status !== "piece") throw new Error(`the blob is ${upload.status}`);
  const put = await fetch(upload.url, { method: "PUT", body: content });
  if (!put.ok) throw new Error(`the store answered ${put.status}`);
  await plane.call(`${path}/complete`, { body, role: "submitter" });
}
