import { createRequire } from "node:module";
import { modelDataSource, modelResource } from "./model-outputs.ts";
import type { PlannedResource } from "./plan-file.ts";

/** Pulumi's mark of a wrapped value, and the kind of wrapping that means "secret". */
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

type Inputs = Record<string, unknown>;
/** The request of a registration (`pulumirpc.RegisterResourceRequest`), as far as it is read here. */
interface RegisterRequest {
  getType(): string;
  getName(): string;
  getParent(): string;
  getDependenciesList(): string[];
  getRetainondelete(): boolean;
}
interface RegisterAnswer {
  getUrn(): string;
}
interface Monitor {
  registerResource(
    request: RegisterRequest,
    callback: (error: unknown, answer?: RegisterAnswer) => void,
  ): Promise<void>;
}
/** Pulumi's runtime, as far as it is used here. */
interface PulumiRuntime {
  setMocks(
    mocks: {
      newResource(resource: { type: string; name: string; inputs: Inputs }): { id: string; state: Inputs };
      call(call: { token: string; inputs: Inputs }): Inputs;
    },
    project: string,
    stack: string,
    preview: boolean,
    organization: string,
  ): Promise<void>;
  getMonitor(): Monitor;
  runInPulumiStack(init: () => Promise<unknown>): Promise<Inputs>;
}

/**
 * Prepares the runtime that the bundled program will find: its test mode, with models for answers, writing down each
 * resource as it is registered. What a model throws is told to `onError`, for the runtime passes it on without words.
 */
export function prepareRuntime(main: string, app: string, stage: string, onError: (error: unknown) => void) {
  const { runtime } = createRequire(main)("@pulumi/pulumi") as { runtime: PulumiRuntime };
  const resources: PlannedResource[] = [];
  const last = new Map<string, { inputs: Inputs; outputs: Inputs }>();
  const telling =
    <Question, Answer>(model: (question: Question) => Answer) =>
    (question: Question): Answer => {
      try {
        return model(question);
      } catch (error) {
        onError(error);
        throw error;
      }
    };
  const run = async (init: () => Promise<unknown>): Promise<Inputs> => {
    await runtime.setMocks(
      {
        newResource: telling(({ type, name, inputs }: { type: string; name: string; inputs: Inputs }) => {
          const plain = reveal(inputs) as Inputs;
          const model = modelResource(type, name, plain);
          // The code of a dynamic resource's provider: long, and nothing that is sent to AWS.
          const { __provider, ...rest } = plain;
          const { __provider: _, ...outputs } = model.state;
          last.set(`${type} ${name}`, { inputs: rest, outputs });
          return model;
        }),
        call: telling(({ token, inputs }: { token: string; inputs: Inputs }) =>
          modelDataSource(token, reveal(inputs) as Inputs),
        ),
      },
      app,
      stage,
      false,
      "organization",
    );
    const monitor = runtime.getMonitor();
    const register = monitor.registerResource.bind(monitor);
    monitor.registerResource = (request, callback) =>
      register(request, (error, answer) => {
        const key = `${request.getType()} ${request.getName()}`;
        const seen = last.get(key);
        if (!error && answer && seen) {
          const parent = request.getParent();
          resources.push({
            urn: answer.getUrn(),
            type: request.getType(),
            name: request.getName(),
            ...(parent ? { parent } : {}),
            dependencies: request.getDependenciesList(),
            retainOnDelete: request.getRetainondelete(),
            ...seen,
          });
        }
        callback(error, answer);
      });
    return reveal(await runtime.runInPulumiStack(init)) as Inputs;
  };
  return { resources, run };
}

/** Values without the wrapping of secrets: nothing in a plan is one, all of it is made up. */
function reveal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reveal);
  if (value === null || typeof value !== "object") return value;
  const wrapped = value as Inputs;
  if (wrapped[signatureKey] === secretSignature) return reveal(wrapped.value);
  if (typeof (value as { promise?: unknown }).promise === "function") return String(value);
  return Object.fromEntries(Object.entries(wrapped).map(([key, inner]) => [key, reveal(inner)]));
}
