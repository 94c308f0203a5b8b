import { AwsJson1_0Protocol } from "@aws-sdk/core/protocols";

type Options = ConstructorParameters<typeof AwsJson1_0Protocol>[0];

/** Requests and answers are what they look like: the text is their JSON. */
const plainSerializer = () => {
  let text = "";
  return {
    write(_schema: unknown, value: unknown) {
      text = JSON.stringify(value);
    },
    // Called right after `write`, within the same turn.
    flush: () => text,
    setSerdeContext: () => undefined,
  };
};

const plainDeserializer = {
  read: (_schema: unknown, data: string | Uint8Array): unknown =>
    JSON.parse(typeof data === "string" ? data : Buffer.from(data.buffer, data.byteOffset, data.length).toString()),
  setSerdeContext: () => undefined,
};

/**
 * The protocol of DynamoDB, its streams and SQS without the walk along a schema through every value of every request
 * and answer, which the SDK makes for times and bytes; what Sluice sends and reads there holds neither. One thing that
 * walk does beside is left to the caller: transactions need a `ClientRequestToken`.
 */
export class PlainJsonProtocol extends AwsJson1_0Protocol {
  constructor(options: Options) {
    super(options);
    this.serializer = plainSerializer();
    this.deserializer = plainDeserializer;
  }
}
