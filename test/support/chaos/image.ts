import Docker from "dockerode";
import { ensureBusyboxImage } from "../docker-images.ts";

/** The image that container steps of a chaos run use, or why there can be none. */
export async function findImage(): Promise<{ image: string } | { problem: string }> {
  try {
    return { image: await ensureBusyboxImage(new Docker()) };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}
