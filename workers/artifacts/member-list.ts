import { isUtf8 } from "node:buffer";
import { artifactListLimits, formatMember } from "../../shared/domain/artifact-list.ts";
import type { Artifact } from "../../shared/domain/manifest.ts";
import { escapeBytes } from "./output-problem.ts";
import type { TarMember } from "./tar-header.ts";

/** Permission bits, with those of set-user-id and the like. */
const permissionBits = 0o7777;
/** The furthest times that a `Date` knows; those of files can be any. */
const maxTimeMs = 8_640_000_000_000_000;

/** What went into an archive: all of it counted, the first of it by name. */
export class MemberList {
  readonly content: NonNullable<Artifact["content"]> = { members: 0, files: 0, bytes: 0 };
  /** Members that the list has. */
  listed = 0;
  readonly #mask: ((text: string) => string) | undefined;
  #lines: string[] = [];
  #roomCharacters: number = artifactListLimits.characters;

  /** `mask` takes secrets out of names; without it, members are only counted. */
  constructor(mask: ((text: string) => string) | undefined) {
    this.#mask = mask;
  }

  add(member: TarMember): void {
    const { kind, name, size, mode, mtimeMs, target } = member;
    this.content.members++;
    if (kind === "file") {
      this.content.files++;
      this.content.bytes += size;
    }
    const mask = this.#mask;
    if (mask === undefined) return;
    // What does not fit ends the list: one with gaps would look like all there is.
    if (this.listed >= artifactListLimits.members || this.#roomCharacters <= 0) return;
    const line = formatMember({
      kind,
      path: mask(showPath(name)),
      size,
      mode: mode & permissionBits,
      mtimeMs: Math.round(Math.min(maxTimeMs, Math.max(-maxTimeMs, mtimeMs))),
      ...(target === undefined ? {} : { target: mask(showPath(target)) }),
    });
    this.#roomCharacters -= line.length;
    this.#lines.push(line);
    this.listed++;
  }

  /** The list as it is stored; its memory is free afterwards. */
  takeText(): Buffer {
    const text = Buffer.from(this.#lines.join(""));
    this.#lines = [];
    return text;
  }
}

/** A path of any bytes as text. Each name in it stands for itself, so that a path begins with that of its folder. */
function showPath(path: Buffer): string {
  if (isUtf8(path)) return path.toString("utf8");
  const names = path.toString("latin1").split("/");
  return names.map((name) => showBytes(Buffer.from(name, "latin1"))).join("/");
}

function showBytes(name: Buffer): string {
  return isUtf8(name) ? name.toString("utf8") : escapeBytes(name);
}
