import { Readable } from "node:stream";
import { Header } from "tar";
import { withDeadline } from "../../retry.ts";
import { type DockerClient, statusOf } from "./docker-client.ts";

/**
 * The program of the containers that hold a network namespace open: it waits for ever. It is so small that it is made
 * here, byte by byte, and no registry is needed for it.
 */
const machineCode: Record<string, { elfMachine: number; code: Buffer }> = {
  // again: mov eax, 34 (pause) / syscall / jmp again
  amd64: { elfMachine: 62, code: Buffer.from("b8220000000f05ebf7", "hex") },
  // again: mov x0..x4, 0 / mov x8, 73 (ppoll: arm64 has no pause) / svc 0 / b again
  arm64: {
    elfMachine: 183,
    code: Buffer.from("000080d2010080d2020080d2030080d2040080d2280980d2010000d4f9ffff17", "hex"),
  },
};

const repository = "sluice-pause";
const version = "1";
const importDeadlineMs = 30_000;

/** The path of the program inside the image. */
export const pauseProgram = "/pause";

/** Makes sure that the daemon has the image, and tells its name. */
export async function ensurePauseImage(docker: DockerClient): Promise<string> {
  const { Arch: arch } = await docker.version();
  const program = createPauseProgram(arch);
  const name = `${repository}:${version}-${arch}`;
  try {
    await docker.getImage(name).inspect();
    return name;
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
  }
  const answer = await docker.importImage(Readable.from([createTar(program)]) as never, {
    repo: repository,
    tag: `${version}-${arch}`,
  });
  await withDeadline(readToEnd(answer), importDeadlineMs, "the import of the pause image");
  return name;
}

/** A static ELF executable: a file header, one segment, the code. */
export function createPauseProgram(arch: string): Buffer {
  const target = machineCode[arch];
  if (target === undefined) {
    throw new Error(`Docker runs on ${arch}; containers are supported on ${Object.keys(machineCode).join(" and ")}`);
  }
  const loadAddress = 0x400000;
  const headersSize = 64 + 56;
  const size = headersSize + target.code.length;
  const elf = Buffer.alloc(headersSize);
  // 64-bit, little endian, version 1, System V.
  Buffer.from("7f454c46020101", "hex").copy(elf);
  elf.writeUInt16LE(2, 16); // an executable at fixed addresses
  elf.writeUInt16LE(target.elfMachine, 18);
  elf.writeUInt32LE(1, 20);
  elf.writeBigUInt64LE(BigInt(loadAddress + headersSize), 24); // entry
  elf.writeBigUInt64LE(64n, 32); // where the program headers are
  elf.writeUInt16LE(64, 52); // size of this header
  elf.writeUInt16LE(56, 54); // size of a program header
  elf.writeUInt16LE(1, 56); // number of them
  elf.writeUInt32LE(1, 64); // load
  elf.writeUInt32LE(5, 68); // read and execute
  elf.writeBigUInt64LE(BigInt(loadAddress), 80);
  elf.writeBigUInt64LE(BigInt(loadAddress), 88);
  elf.writeBigUInt64LE(BigInt(size), 96); // bytes in the file
  elf.writeBigUInt64LE(BigInt(size), 104); // bytes in memory
  elf.writeBigUInt64LE(0x10000n, 112); // alignment that fits every page size of arm64
  return Buffer.concat([elf, target.code]);
}

function createTar(program: Buffer): Buffer {
  const header = new Header({
    path: pauseProgram.slice(1),
    mode: 0o755,
    size: program.length,
    type: "File",
    uid: 0,
    gid: 0,
    mtime: new Date(0),
  });
  header.encode();
  const padding = Buffer.alloc((512 - (program.length % 512)) % 512);
  return Buffer.concat([header.block ?? Buffer.alloc(512), program, padding, Buffer.alloc(1024)]);
}

async function readToEnd(stream: NodeJS.ReadableStream): Promise<void> {
  for await (const _ of stream);
}
