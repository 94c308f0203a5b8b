import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { DynamoDBClient, ListTablesCommand, paginateScan } from "@aws-sdk/client-dynamodb";
import { openBucket } from "./chaos/bucket-checks.ts";
import type { RunningStack } from "./local-stack.ts";

const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/**
 * Searches everything that a stack keeps: its tables as the API of DynamoDB gives them, its bucket's objects as they
 * are and decompressed, and every file of its data folder (queues, logs of all processes, disks of workers, the
 * storage beneath tables and bucket). Tells each place that holds one of the texts, such as `object KEY: TEXT`.
 */
export async function searchStored(stack: RunningStack, texts: readonly string[]): Promise<string[]> {
  const found = await Promise.all([searchTables(stack, texts), searchObjects(stack, texts), searchFiles(stack, texts)]);
  return found.flat();
}

async function searchTables({ aws }: RunningStack, texts: readonly string[]): Promise<string[]> {
  const { accessKeyId, secretAccessKey } = aws;
  const credentials = { accessKeyId, secretAccessKey };
  const client = new DynamoDBClient({ endpoint: aws.dynamodb, region: aws.region, credentials });
  try {
    const found: string[] = [];
    const { TableNames = [] } = await client.send(new ListTablesCommand({}));
    for (const TableName of TableNames) {
      for await (const { Items = [] } of paginateScan({ client }, { TableName })) {
        for (const item of Items) found.push(...holds(`item of ${TableName}`, Buffer.from(listTexts(item)), texts));
      }
    }
    return found;
  } finally {
    client.destroy();
  }
}

/** All texts and bytes of an item, each on lines of its own: as JSON a text would be escaped. */
function listTexts(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8");
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value)
    .flatMap(([key, part]) => [key, listTexts(part)])
    .join("\n");
}

async function searchObjects(stack: RunningStack, texts: readonly string[]): Promise<string[]> {
  const bucket = openBucket(stack);
  try {
    const found: string[] = [];
    for (let startAfter = "", more = true; more; ) {
      const page = await bucket.objects.list("", { startAfter });
      for (const { key } of page.objects) {
        const content = Buffer.from((await bucket.objects.get(key)) ?? []);
        const isCompressed = content.subarray(0, 4).equals(zstdMagic);
        const readings = isCompressed ? [content, zstdDecompressSync(content)] : [content];
        found.push(...holds(`object ${key}`, Buffer.concat(readings), texts));
      }
      startAfter = page.objects.at(-1)?.key ?? "";
      more = page.more;
    }
    return found;
  } finally {
    bucket.close();
  }
}

async function searchFiles({ dataDir }: RunningStack, texts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  const entries = await readdir(dataDir, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((candidate) => candidate.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      // Files come and go while the stack runs.
      if (error.code === "ENOENT") return Buffer.alloc(0);
      throw error;
    });
    found.push(...holds(`file ${path.slice(dataDir.length + 1)}`, content, texts));
  }
  return found;
}

function holds(where: string, content: Buffer, texts: readonly string[]): string[] {
  return texts.filter((text) => content.includes(text)).map((text) => `${where}: ${text}`);
}
