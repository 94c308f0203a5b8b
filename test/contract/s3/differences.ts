/** A case in which the peer departs from AWS, by the case's title. */
interface Difference {
  title: string;
  /** What the peer does instead, and how we know that AWS does not. */
  reason: string;
  /** The outcome depends on timing, so the case is left out instead of being expected to fail. */
  isUnsteady?: boolean;
}

/** Every known departure of moto. A case named here has to fail on moto, or the entry goes. */
const differences: readonly Difference[] = [
  {
    title: "have names of S3's form",
    reason: "creates buckets with underscores and upper case, which S3's naming rules exclude",
  },
  {
    title: 'live under the key "tab\\tand\\nnewline"',
    reason: "fails with an HTML page on a line feed in a path",
  },
  {
    title: "have keys of at most 1024 bytes",
    reason: "has no limit; S3's is documented",
  },
  {
    title: "have at most 2 KB of metadata",
    reason: "has no limit; S3's is documented",
  },
  {
    title: "with a carriage return in the key are deleted many at a time",
    reason: "writes it unescaped, so that XML parsers make a line feed of it",
  },
  {
    title: "are deleted quietly on request",
    reason: "ignores Quiet",
  },
  {
    title: "are refused when a condition on the source does not hold",
    reason: "ignores x-amz-copy-source-if-*",
  },
  {
    title: "have keys of their own and only the characters that S3 allows",
    reason: "fails with 500 on an empty key and accepts one key twice",
  },
  {
    title: "let exactly one of 20 racing small writers create a key",
    reason: "checks and stores in two steps on several threads",
    isUnsteady: true,
  },
  {
    title: "let exactly one of 20 racing large writers create a key",
    reason: "checks and stores in two steps on several threads",
    isUnsteady: true,
  },
  {
    title: "let exactly one of 20 racing multipart completions create a key",
    reason: "checks and stores in two steps on several threads",
    isUnsteady: true,
  },
  {
    title: "that are malformed are ignored",
    reason: "fails with an HTML page; RFC 9110 has them ignored",
  },
  {
    title: "refuses a negative page size and a token that is none",
    reason: "accepts both",
  },
  {
    title: "pages by marker in its old form",
    reason: "repeats a rolled-up prefix on the next page, though NextMarker named it",
  },
  {
    title: "can be read by part",
    reason: "ignores partNumber",
  },
  {
    title: "refuse parts out of order",
    reason: "accepts them",
  },
  {
    title: "have parts with numbers from 1 to 10000",
    reason: "says NoSuchUpload for 0, though the upload exists",
  },
  {
    title: "list their parts in pages",
    reason: "says IsTruncated false on the first of two pages",
  },
  {
    title: "leave nothing when they are aborted",
    reason: "fails with 500 on a part for an upload that is gone",
  },
  {
    title: "of the kind CRC32 are refused when they are wrong, and nothing is stored",
    reason: "does not compare checksums",
  },
  {
    title: "of the kind CRC32C are refused when they are wrong, and nothing is stored",
    reason: "does not compare checksums",
  },
  {
    title: "of the kind SHA1 are refused when they are wrong, and nothing is stored",
    reason: "does not compare checksums",
  },
  {
    title: "of the kind SHA256 are refused when they are wrong, and nothing is stored",
    reason: "does not compare checksums",
  },
  {
    title: "that are no checksums at all are refused",
    reason: "does not compare checksums",
  },
  {
    title: "of the kind Content-MD5 are compared",
    reason: "does not compare checksums",
  },
  {
    title: "name their type",
    reason: "has no checksum types, which came to S3 in 2024",
  },
  {
    title: "are composed of the parts' CRC32s",
    reason: "does not tell the checksum on completion, and tells it without the number of parts later",
  },
  {
    title: "are composed of the parts' SHA256s",
    reason: "does not tell the checksum on completion, and tells it without the number of parts later",
  },
  {
    title: "of the parts are listed as CRC32, with their kind",
    reason: "lists parts without checksums",
  },
  {
    title: "of the parts are listed as SHA256, with their kind",
    reason: "lists parts without checksums",
  },
  {
    title: "cover the whole object where FULL_OBJECT says so",
    reason: "has no checksum types, which came to S3 in 2024",
  },
  {
    title: "are refused when a part or the whole does not agree",
    reason: "does not compare checksums",
  },
  {
    title: "are refused without a header that was signed",
    reason: "verifies no signatures",
  },
  {
    title: "are refused once they have expired",
    reason: "verifies no signatures and no expiry",
  },
  {
    title: "are refused when anything in them was changed",
    reason: "verifies no signatures",
  },
  {
    title: "are refused when they were signed with other keys",
    reason: "verifies no signatures",
  },
  {
    title: "are the only way in without keys",
    reason: "lets anonymous requests through to some operations",
  },
  {
    title: "are refused when a rule is incomplete or contradicts itself",
    reason: "accepts a rule without an action",
  },
  {
    title: "tell on reading when an object will go",
    reason: "does not send x-amz-expiration",
  },
  {
    title: "answer a browser's preflight by the first rule that fits",
    reason: "names the rule's header patterns instead of the headers that were asked for",
  },
];

/** The table's entry for a case. */
export function findDifference(title: string): Difference | undefined {
  return differences.find((difference) => difference.title === title);
}
