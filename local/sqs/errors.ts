type ErrorShape = {
  /** The code of the older query protocol: SDKs read it from a header, and failed batch entries carry it. */
  readonly queryCode: string;
  readonly status: number;
  /** The namespace in front of `__type`. The service's own errors and the framework's differ. */
  readonly namespace: "com.amazonaws.sqs" | "com.amazon.coral.service";
};

const service = (queryCode: string, status = 400): ErrorShape => ({
  queryCode,
  status,
  namespace: "com.amazonaws.sqs",
});
const framework = (queryCode: string, status = 400): ErrorShape => ({
  queryCode,
  status,
  namespace: "com.amazon.coral.service",
});

/** Every error the server answers with, as AWS spells it in both protocols. */
const ERRORS = {
  BatchEntryIdsNotDistinct: service("AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
  BatchRequestTooLong: service("AWS.SimpleQueueService.BatchRequestTooLong"),
  EmptyBatchRequest: service("AWS.SimpleQueueService.EmptyBatchRequest"),
  InvalidAttributeName: service("InvalidAttributeName"),
  InvalidAttributeValue: service("InvalidAttributeValue"),
  InvalidBatchEntryId: service("AWS.SimpleQueueService.InvalidBatchEntryId"),
  InvalidMessageContents: service("InvalidMessageContents"),
  OverLimit: service("OverLimit", 403),
  PurgeQueueInProgress: service("AWS.SimpleQueueService.PurgeQueueInProgress", 403),
  QueueDeletedRecently: service("AWS.SimpleQueueService.QueueDeletedRecently"),
  QueueDoesNotExist: service("AWS.SimpleQueueService.NonExistentQueue"),
  QueueNameExists: service("QueueAlreadyExists"),
  ReceiptHandleIsInvalid: service("ReceiptHandleIsInvalid", 404),
  ResourceNotFoundException: service("ResourceNotFoundException", 404),
  TooManyEntriesInBatchRequest: service("AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
  UnsupportedOperation: service("AWS.SimpleQueueService.UnsupportedOperation"),
  InternalFailure: framework("InternalFailure", 500),
  InvalidParameterValueException: framework("InvalidParameterValue"),
  MissingRequiredParameterException: framework("MissingParameter"),
  RequestEntityTooLarge: framework("RequestEntityTooLarge", 413),
  SerializationException: framework("MalformedInput"),
  UnknownOperationException: framework("InvalidAction"),
} satisfies Record<string, ErrorShape>;

/** The name of an error as the SDK's error classes carry it. */
export type SqsErrorName = keyof typeof ERRORS;

/** A refusal that is the client's to handle; the HTTP layer turns it into the protocol's error answer. */
export class SqsError extends Error {
  override readonly name: SqsErrorName;

  constructor(name: SqsErrorName, message: string) {
    super(message);
    this.name = name;
  }

  get status(): number {
    return ERRORS[this.name].status;
  }

  get queryCode(): string {
    return ERRORS[this.name].queryCode;
  }

  get type(): string {
    return `${ERRORS[this.name].namespace}#${this.name}`;
  }

  /** Whether the client is at fault, as both protocols say in every error. */
  get isSenderFault(): boolean {
    return this.status < 500;
  }
}

/** Builds the error for a parameter whose value AWS refuses, in AWS's wording. */
export function refuseValue(parameter: string, value: unknown, reason: string): SqsError {
  return new SqsError(
    "InvalidParameterValueException",
    `Value ${String(value)} for parameter ${parameter} is invalid. Reason: ${reason}`,
  );
}
