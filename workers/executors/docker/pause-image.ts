import { Readable } from "node:stream";
import { Header } from "tar";
import { withDeadline } from "../../retry.ts";
import { type DockerClient, statusOf } from "./docker-client.ts";

/**
 * The program of the containers that hold a network namespace open: it makes the routes below in it, prints one byte, and
 * waits for ever; a route that is refused ends it with the kernel's number for why. With any argument it only prints and
 * waits. It is so small that it is made here, byte by byte, and no registry is needed for it. The assembly of one
 * architecture, that of the other does the same:
 *
 *     start:  if argc > 1 goto done
 *             fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), or fail
 *             message = messages
 *     next:   if message.length == 0 goto done
 *             write(fd, message, message.length), or fail;  message += message.length
 *             read(fd, answer, 1024), or fail
 *             if answer.error is 0, -EOPNOTSUPP or -EAFNOSUPPORT goto next    (without IPv6 there is no way to it)
 *     fail:   exit_group(-error)
 *     done:   write(1, messages, 1)
 *     again:  pause();  goto again      (arm64 has no pause: ppoll(0, 0, 0, 0, 0))
 *     messages:
 */
const machineCode: Record<string, { elfMachine: number; code: Buffer }> = {
  amd64: {
    elfMachine: 62,
    code: Buffer.from(
      "833c24017772b829000000bf10000000be0300000031d20f0585c0785089c54c8d2573000000418b142485d2744ab80100000089ef4c89e64901" +
        "d40f0585c0782c31c089ef488db42400fcffffba000400000f0585c078158b842410fcffff85c074c383f8a174be83f89f74b9f7d889c7b8" +
        "e70000000f05b801000000bf01000000488d3510000000ba010000000f05b8220000000f05ebf7",
      "hex",
    ),
  },
  arm64: {
    elfMachine: 183,
    code: Buffer.from(
      "e90340b93f05007128040054000280d2610080d2020080d2c81880d2010000d40003f837f303002ad4040010f50310d1820240b9c2020034e003" +
        "132ae10314aa9402028b080880d2010000d4a001f837e003132ae10315aa028080d2e80780d2010000d4e000f837a01240b920feff341f7c" +
        "0131e0fdff541f840131a0fdff54e003004bc80b80d2010000d4200080d281010010220080d2080880d2010000d4000080d2010080d20200" +
        "80d2030080d2040080d2280980d2010000d4f9ffff17",
      "hex",
    ),
  },
};

/**
 * Where clouds tell a machine who it is, with the credentials of its role: `fd00:ec2::254` and `169.254.169.254`, on EC2
 * and OpenStack alike.
 */
const metadataAddresses = [
  { family: 2, address: Buffer.from([169, 254, 169, 254]) },
  { family: 10, address: Buffer.from("fd000ec2000000000000000000000254", "hex") },
];

/** Asks the kernel by netlink for a route by which an address is unreachable: who tries is told so at once. */
function createRouteMessage(family: number, address: Buffer): Buffer {
  const message = Buffer.alloc(32 + address.length);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(24, 4); // RTM_NEWROUTE
  message.writeUInt16LE(0x505, 6); // a request to be acknowledged, that creates or replaces
  message.writeUInt8(family, 16);
  message.writeUInt8(address.length * 8, 17); // this one address
  message.writeUInt8(254, 20); // the main table
  message.writeUInt8(4, 21); // by hand
  message.writeUInt8(7, 23); // unreachable
  message.writeUInt16LE(4 + address.length, 28);
  message.writeUInt16LE(1, 30); // the destination
  address.copy(message, 32);
  return message;
}

/** The messages of the program, up to one of no length. */
function createMessages(): Buffer {
  const routes = metadataAddresses.map(({ family, address }) => createRouteMessage(family, address));
  return Buffer.concat([...routes, Buffer.alloc(4)]);
}

const repository = "sluice-pause";
const version = "2";
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

/** A static ELF executable: a file header, one segment, the code with its messages. */
export function createPauseProgram(arch: string): Buffer {
  const target = machineCode[arch];
  if (target === undefined) {
    throw new Error(`Docker runs on ${arch}; containers are supported on ${Object.keys(machineCode).join(" and ")}`);
  }
  const loadAddress = 0x400000;
  const headersSize = 64 + 56;
  const text = Buffer.concat([target.code, createMessages()]);
  const size = headersSize + text.length;
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
  return Buffer.concat([elf, text]);
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
