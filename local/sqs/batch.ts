import { SqsError } from "./errors.ts";
import { asFields, type Fields, readList, readOptionalString } from "./request-fields.ts";

const MAX_ENTRIES = 10;
const ENTRY_ID_PATTERN = /^[A-Za-z0-9_-]{1,80}$/;

/** One entry of a batch request, with the id its result is reported under. */
export type BatchEntry = { readonly entryId: string; readonly fields: Fields };

/** What a batch operation answers; a list without entries is left out, as on AWS. */
export type BatchResult = { Successful?: Record<string, unknown>[]; Failed?: Record<string, unknown>[] };

/** Reads the entries of a batch and checks what makes the whole request invalid: their number and their ids. */
export function parseBatchEntries(fields: Fields): BatchEntry[] {
  const items = readList(fields, "Entries");
  if (items.length === 0) {
    throw new SqsError("EmptyBatchRequest", "There should be at least one entry in the request.");
  }
  if (items.length > MAX_ENTRIES) {
    throw new SqsError(
      "TooManyEntriesInBatchRequest",
      `Maximum number of entries per request are ${MAX_ENTRIES}. You have sent ${items.length}.`,
    );
  }
  const entries = items.map((item) => {
    const entry = asFields(item, "Each of Entries");
    return { entryId: readOptionalString(entry, "Id") ?? "", fields: entry };
  });
  const seen = new Set<string>();
  for (const { entryId } of entries) {
    if (!ENTRY_ID_PATTERN.test(entryId)) {
      throw new SqsError(
        "InvalidBatchEntryId",
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
      );
    }
    if (seen.has(entryId)) throw new SqsError("BatchEntryIdsNotDistinct", `Id ${entryId} repeated.`);
    seen.add(entryId);
  }
  return entries;
}

/** Runs each entry by itself: a refused one is reported as failed and leaves the others alone. */
export function runBatch(
  entries: readonly BatchEntry[],
  runEntry: (fields: Fields) => Record<string, unknown>,
): BatchResult {
  const Successful: Record<string, unknown>[] = [];
  const Failed: Record<string, unknown>[] = [];
  for (const { entryId, fields } of entries) {
    try {
      Successful.push({ Id: entryId, ...runEntry(fields) });
    } catch (error) {
      // Anything else is a fault of the server and fails the request as a whole.
      if (!(error instanceof SqsError)) throw error;
      Failed.push({
        Id: entryId,
        SenderFault: error.isSenderFault,
        Code: error.queryCode,
        Message: error.message,
      });
    }
  }
  return { ...(Successful.length > 0 && { Successful }), ...(Failed.length > 0 && { Failed }) };
}
