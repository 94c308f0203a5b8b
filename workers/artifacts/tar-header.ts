const blockBytes = 512;
/** Linux takes no link that leads further. */
const longestTarget = 4096;
/** Sizes that fill more than the 11 octal digits of a header are written in base 256, as GNU tar does. */
const largestOctal = 0o77777777777;

/** What the header of a member says. Owners are left out: the machine that unpacks does not know them. */
export interface TarMember {
  kind: "file" | "folder" | "link";
  name: Buffer;
  mode: number;
  mtimeMs: number;
  size: number;
  /** Where a link leads. */
  target?: Buffer;
}

const typeFlags = { file: "0", folder: "5", link: "2" } as const;
const none = Buffer.alloc(0);

/**
 * The header of a member in GNU's form, which takes names of any bytes and any length; every tar reads it.
 */
export function encodeTarHeader(member: TarMember): Buffer {
  const name = member.kind === "folder" ? Buffer.concat([member.name, Buffer.from("/")]) : member.name;
  const target = member.target ?? none;
  return Buffer.concat([
    ...encodeLongName("K", target),
    ...encodeLongName("L", name),
    encodeBlock({ ...member, name, target, typeFlag: typeFlags[member.kind] }),
  ]);
}

/** Bytes of the header of a member with such a name at most, with what follows its content. */
export function largestTarHeader(name: Buffer): number {
  return name.length + longestTarget + 8 * blockBytes;
}

/** Bytes that follow content of a size up to the next block. */
export function paddingBytes(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}

/** An archive ends with two empty blocks. */
export const tarEnd: Buffer = Buffer.alloc(2 * blockBytes);

/** A member of its own that holds the name of the next one, where that has no room in its header. */
function encodeLongName(typeFlag: "L" | "K", name: Buffer): Buffer[] {
  if (name.length <= 100) return [];
  const size = name.length + 1;
  const header = encodeBlock({ name: Buffer.from("././@LongLink"), target: none, mode: 0, mtimeMs: 0, size, typeFlag });
  return [header, name, Buffer.alloc(1 + paddingBytes(size))];
}

function encodeBlock(fields: {
  name: Buffer;
  target: Buffer;
  mode: number;
  mtimeMs: number;
  size: number;
  typeFlag: string;
}): Buffer {
  const block = Buffer.alloc(blockBytes);
  fields.name.copy(block, 0, 0, 100);
  writeOctal(block, 100, 7, fields.mode & 0o7777);
  writeOctal(block, 108, 7, 0);
  writeOctal(block, 116, 7, 0);
  writeSize(block, fields.size);
  // Times before 1970 have no octal form.
  writeOctal(block, 136, 11, Math.max(0, Math.floor(fields.mtimeMs / 1000)));
  block.fill(" ", 148, 156);
  block.write(fields.typeFlag, 156, "latin1");
  fields.target.copy(block, 157, 0, 100);
  block.write("ustar  \0", 257, "latin1");
  let checksum = 0;
  for (const byte of block) checksum += byte;
  block.write(`${checksum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function writeOctal(block: Buffer, offset: number, digits: number, value: number): void {
  block.write(`${value.toString(8).padStart(digits, "0")}\0`, offset, "latin1");
}

function writeSize(block: Buffer, size: number): void {
  if (size <= largestOctal) writeOctal(block, 124, 11, size);
  else {
    block[124] = 0x80;
    block.writeBigUInt64BE(BigInt(size), 128);
  }
}
