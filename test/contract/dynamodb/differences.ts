import type { Implementation } from "./target.ts";

type Difference = {
  readonly departs: readonly Implementation[];
  /** What AWS does. */
  readonly aws: string;
  /** What the implementation does instead. */
  readonly instead: string;
  /** Why we live with it. */
  readonly reason: string;
};

/**
 * Every known departure from AWS, each asserted by a case that names it: when one is mended, its case fails and the
 * entry goes. Product code must not rely on either side of an entry of "embedded".
 */
export const KNOWN_DIFFERENCES = {
  allOldOfNewItem: {
    departs: ["embedded"],
    aws: "UpdateItem that creates an item returns no attributes for ALL_OLD",
    instead: "returns the key",
    reason: "use the condition or the version in the item to tell a new item, not the presence of old attributes",
  },
  removeBelowMissing: {
    departs: ["embedded"],
    aws: "REMOVE of a path whose parent is missing is a ValidationException",
    instead: "succeeds and changes nothing",
    reason: "laxer, so code that works on AWS works here; the contract on AWS is kept by updating only known maps",
  },
  removeSeveralIndexes: {
    departs: ["embedded"],
    aws: "REMOVE l[0], l[1] takes both indexes from the list as it was",
    instead: "takes one after the other, so the second is counted in the shortened list",
    reason: "remove one list index per update",
  },
  setBeyondListEnd: {
    departs: ["embedded"],
    aws: "SET l[9] on a shorter list appends",
    instead: "fills the gap with nulls",
    reason: "append with list_append",
  },
  sameOperandTwice: {
    departs: ["embedded"],
    aws: "a comparison of a path with itself is a ValidationException",
    instead: "is evaluated",
    reason: "laxer; no expression of ours compares a path with itself",
  },
  faultBehindFalseCondition: {
    departs: ["embedded"],
    aws: "a value or name that is missing or unused is a ValidationException, whatever is stored",
    instead: "is found only as far as the condition is evaluated, so a false one hides it",
    reason: "repository functions are tested on both outcomes of their conditions",
  },
  unknownTypeName: {
    departs: ["embedded"],
    aws: "attribute_type with an unknown type name is a ValidationException",
    instead: "is false",
    reason: "laxer; type names are constants",
  },
  transactedUpdateFault: {
    departs: ["DynamoDB Local"],
    aws: "an update that cannot be applied to the stored item cancels the transaction with the reason ValidationError",
    instead: "is a ValidationException of the whole request",
    reason: "the embedded server does what AWS documents",
  },
  unchangedWriteInStream: {
    departs: ["embedded"],
    aws: "a write that changes nothing leaves no stream record",
    instead: "leaves a MODIFY record with two equal images",
    reason: "readers of the stream compare states and ignore a record that changes none",
  },
  openShardHasEnd: {
    departs: ["embedded"],
    aws: "an open shard has no EndingSequenceNumber",
    instead: "the one shard, which never closes, has one",
    reason: "readers go by NextShardIterator, which is always there while a shard is open",
  },
  ttlEnabledTwice: {
    departs: ["embedded"],
    aws: "enabling TTL where it is enabled is a ValidationException",
    instead: "succeeds",
    reason: "laxer; table set-up asks with DescribeTimeToLive first",
  },
} as const satisfies Record<string, Difference>;

/** The name of an entry in the table of known differences. */
export type DifferenceId = keyof typeof KNOWN_DIFFERENCES;
