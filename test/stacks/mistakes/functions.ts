import { addGrant, change, changeGrant, changeInput, find, type Mistakes, types } from "./plant.ts";

const { lambda, role } = types;

/** Mistakes in functions, in their roles and in what the program tells of itself. */
export const functionMistakes: Mistakes = {
  "every function has its limits, its log and its runtime": {
    "an old runtime": change(lambda, "Api", "runtime", "nodejs22.x"),
    "another timeout": change(lambda, "Fold", "timeout", 3),
    "another memory": change(lambda, "Fold", "memorySize", 128),
    "a log that is kept for ever": change("aws:cloudwatch/logGroup:LogGroup", "Api", "retentionInDays", 0),
    "a function that nothing in shared/ knows": (plan) =>
      plan.resources.push({ ...find(plan, lambda, "Fold"), name: "UnknownFunction" }),
  },
  "every role is one function's own and may do nothing by a pattern": {
    "a role that may do everything on the table": changeGrant("ApiRole", { Action: "dynamodb:*" }),
    "a role that may read every object there is": addGrant("ApiRole", "s3:GetObject", "*"),
    "a policy written by others": change(role, "FoldRole", "managedPolicyArns", [
      "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    ]),
    "a role that the whole account may take": change(role, "SweepRole", "assumeRolePolicy", {
      Statement: [
        {
          Effect: "Allow",
          Action: "sts:AssumeRole",
          Principal: { Service: "lambda.amazonaws.com", AWS: "arn:aws:iam::000000000000:root" },
        },
      ],
    }),
    "two functions with one role": (plan) =>
      changeInput(find(plan, lambda, "Chores"), "role", find(plan, lambda, "Fold").inputs.role),
  },
  "the API streams its answers": {
    "answers that are sent when they are whole": change(
      "aws:lambda/functionUrl:FunctionUrl",
      "",
      "invokeMode",
      "BUFFERED",
    ),
  },
  "the outputs say where everything is": {
    "no API URL": (plan) => {
      delete plan.outputs.api;
    },
    "no console URL": (plan) => {
      plan.outputs.console = "";
    },
  },
};
