import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { open, readdir, rename, rmdir, unlink } from "node:fs/promises";

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Each level costs an open file; what is nested deeper is moved up first. */
const levelsAtOnce = 100;

/**
 * Removes a folder whose paths are longer than the system takes, which Node's own `rm` cannot: a step can make such by
 * going down one folder after the other. Goes by open folders, so it works on Linux only.
 */
export async function removeDeepTree(root: string): Promise<void> {
  let hasMoved = false;

  async function empty(folder: string | Buffer, level: number): Promise<void> {
    const handle = await open(folder, folderFlags);
    try {
      const here = Buffer.from(`/proc/self/fd/${handle.fd}/`);
      for (const entry of await readdir(here, { withFileTypes: true, encoding: "buffer" })) {
        const path = Buffer.concat([here, entry.name]);
        if (!entry.isDirectory()) await unlink(path);
        else if (level >= levelsAtOnce) {
          hasMoved = true;
          await rename(path, `${root}/moved-up-${randomUUID()}`);
        } else {
          await empty(path, level + 1);
          await rmdir(path);
        }
      }
    } finally {
      await handle.close();
    }
  }

  do {
    hasMoved = false;
    await empty(root, 0);
  } while (hasMoved);
  await rmdir(root);
}
