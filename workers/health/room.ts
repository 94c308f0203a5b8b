import { statfs } from "node:fs/promises";
import { freemem, totalmem } from "node:os";
import { hasCode } from "../../shared/error-code.ts";
import { withDeadline } from "../retry.ts";
import type { HealthProblem } from "./health-state.ts";

/** What a file system has, in blocks of `bsize` bytes; some count no inodes and tell 0 of 0. */
export interface FileSystemRoom {
  bsize: number;
  blocks: number;
  bavail: number;
  files: number;
  ffree: number;
}

/** So much has to be free: a fiftieth, but not more than what images and logs of a few tasks take. */
const freeShare = 0.02;
const enoughBytes = 1024 ** 3;
const enoughMemoryBytes = 128 * 1024 ** 2;
const bytesPerMb = 1e6;

/** Why a folder's file system has no room, undefined where it has; throws where that cannot be asked in time. */
export async function checkRoom(folder: string, deadlineMs: number): Promise<HealthProblem | undefined> {
  try {
    const room = await withDeadline(statfs(folder), deadlineMs, `asking for the room below ${folder}`);
    return judgeRoom(folder, room);
  } catch (error) {
    // Docker may live elsewhere than this process can look; whether it has room it then says itself.
    if (hasCode(error, "ENOENT", "EACCES")) return undefined;
    throw error;
  }
}

/** Judges what `statfs` told; pure. */
export function judgeRoom(folder: string, room: FileSystemRoom): HealthProblem | undefined {
  const freeBytes = room.bavail * room.bsize;
  const wantedBytes = Math.min(enoughBytes, room.blocks * room.bsize * freeShare);
  if (freeBytes < wantedBytes) {
    const [free, wanted] = [freeBytes, wantedBytes].map((bytes) => `${Math.floor(bytes / bytesPerMb)} MB`);
    return { what: "disk", detail: `the disk is full below ${folder}: ${free} are free, ${wanted} are needed` };
  }
  if (room.files > 0 && room.ffree < room.files * freeShare) {
    return { what: "disk", detail: `the disk has no inodes left below ${folder}: ${room.ffree} of ${room.files}` };
  }
  return undefined;
}

/** Judges the memory that programs could get; in bytes, pure. */
export function judgeMemory(freeBytes = freemem(), totalBytes = totalmem()): HealthProblem | undefined {
  if (freeBytes >= Math.min(enoughMemoryBytes, totalBytes * freeShare)) return undefined;
  const mb = Math.floor(freeBytes / bytesPerMb);
  return { what: "memory", detail: `the memory is used up: ${mb} MB are left` };
}
