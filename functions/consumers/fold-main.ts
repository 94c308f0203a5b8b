import type { DynamoDBBatchResponse, DynamoDBStreamEvent } from "aws-lambda";
import { wireDeps } from "../wire.ts";
import { foldRecords } from "./fold.ts";

const deps = wireDeps("fold", process.env);

/** The fold as a Lambda function on the table's stream (partial batch responses). */
export const handler = (event: DynamoDBStreamEvent): Promise<DynamoDBBatchResponse> => foldRecords(deps, event);
