import {
  DeleteParameterCommand,
  DescribeParametersCommand,
  GetParametersCommand,
  type ParameterMetadata,
  ParameterNotFound,
  type ParameterStringFilter,
  PutParameterCommand,
  SSMClient,
  SSMServiceException,
} from "@aws-sdk/client-ssm";
import { AppError } from "../domain/errors.ts";
import { type AwsClientOptions, awsClientOptions, withoutCallLogging } from "./aws-options.ts";
import type { SecretInfo, SecretStore } from "./secret-store.ts";

/** Names of one `GetParameters` call, and parameters of one `DescribeParameters` page, at most. */
const namesPerCall = 10;
const describedPerCall = 50;
/** Stands before the name of who set the secret, in the parameter's description. */
const setBy = "set by ";

/** The Systems Manager client of this process. */
export function createSsmClient(options: AwsClientOptions = awsClientOptions): SSMClient {
  return withoutCallLogging(new SSMClient(options));
}

/**
 * Secrets as SecureString parameters below a path such as `/sluice/prod/secrets`. A slash in a secret's name becomes a
 * dot, which names do not have: all parameters are on one level, so that no name can leave the path or be deeper than
 * the service allows, and each name has one parameter.
 */
export function createSsmSecretStore(client: SSMClient, path: string): SecretStore {
  const parameterOf = (name: string) => `${path}/${name.replaceAll("/", ".")}`;
  const nameOf = (parameter: string) => parameter.slice(path.length + 1).replaceAll(".", "/");
  const describeParameters = async (filter: ParameterStringFilter, limit: number, cursor?: string) => {
    const answer = await client.send(
      new DescribeParametersCommand({
        ParameterFilters: [filter],
        MaxResults: Math.min(limit, describedPerCall),
        ...(cursor === undefined ? {} : { NextToken: cursor }),
      }),
    );
    const secrets = (answer.Parameters ?? []).map((parameter) => toInfo(nameOf(parameter.Name ?? ""), parameter));
    return { secrets, ...(answer.NextToken ? { cursor: answer.NextToken } : {}) };
  };
  return {
    async get(names) {
      const values = new Map<string, string>();
      const wanted = [...new Set(names)];
      for (let start = 0; start < wanted.length; start += namesPerCall) {
        const Names = wanted.slice(start, start + namesPerCall).map(parameterOf);
        const answer = await client.send(new GetParametersCommand({ Names, WithDecryption: true }));
        for (const { Name, Value } of answer.Parameters ?? []) {
          if (Name !== undefined && Value !== undefined) values.set(nameOf(Name), Value);
        }
      }
      return values;
    },
    async put({ name, updatedBy }, value) {
      const command = new PutParameterCommand({
        Name: parameterOf(name),
        Value: value,
        Type: "SecureString",
        // Free up to 4 KB; larger values make it an advanced parameter.
        Tier: "Intelligent-Tiering",
        Overwrite: true,
        ...(updatedBy === undefined ? {} : { Description: `${setBy}${updatedBy}`.slice(0, 1024) }),
      });
      try {
        await client.send(command);
      } catch (error) {
        throw explainRefusal(error, name);
      }
    },
    async describe(name) {
      const filter = { Key: "Name", Option: "Equals", Values: [parameterOf(name)] };
      return (await describeParameters(filter, 1)).secrets[0];
    },
    list: ({ limit, cursor }) => describeParameters({ Key: "Path", Option: "OneLevel", Values: [path] }, limit, cursor),
    async delete(name) {
      try {
        await client.send(new DeleteParameterCommand({ Name: parameterOf(name) }));
        return true;
      } catch (error) {
        if (error instanceof ParameterNotFound) return false;
        throw error;
      }
    },
  };
}

function toInfo(name: string, parameter: ParameterMetadata): SecretInfo {
  const { LastModifiedDate, Description } = parameter;
  return {
    name,
    updatedAt: (LastModifiedDate ?? new Date(0)).toISOString(),
    ...(Description?.startsWith(setBy) ? { updatedBy: Description.slice(setBy.length) } : {}),
  };
}

/** What the service will not take however often it is asked is the caller's to mend; its words do not repeat values. */
function explainRefusal(error: unknown, name: string): unknown {
  if (!(error instanceof SSMServiceException) || (error.$metadata.httpStatusCode ?? 500) >= 500) return error;
  if (error.name === "ParameterLimitExceeded" || error.name === "ValidationException") {
    const message = `AWS Systems Manager did not take the secret ${name} (${error.name}): see its limits for parameters`;
    return new AppError("invalid_request", message, { cause: error });
  }
  return error;
}
