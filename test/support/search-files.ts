import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";

const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** Every file below a folder that holds one of the texts, as it is or compressed with zstd: `<file>: <text>`. */
export async function searchFiles(folder: string, texts: readonly string[]): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries.filter((candidate) => candidate.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const content = await readFile(path);
    const readings = content.subarray(0, 4).equals(zstdMagic) ? [content, zstdDecompressSync(content)] : [content];
    for (const text of texts) if (readings.some((bytes) => bytes.includes(text))) found.push(`${path}: ${text}`);
  }
  return found;
}
