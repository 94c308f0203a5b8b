/**
 * Who may import whom (see the folders in README.md):
 * shared/domain ← events ← shared/{jobfile,clients,repository,api} ← functions, workers; cli by the API client only.
 * Each cloud or machine client is touched in one known place.
 */
const outside = "^(functions|workers|cli|console|local|stacks|test|bench|scripts)/";

/** A package that only the named places may import. Tests may import anything. */
const onlyIn = (name, packages, places) => ({
  name,
  severity: "error",
  from: { path: "^(shared|events|functions|workers|cli|local|console)/", pathNot: [...places, "\\.test\\.ts$"] },
  to: { path: packages.map((p) => `(^|/)node_modules/${p}/`) },
});

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: "no-cycles",
      comment: "types may know each other",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "no-unresolvable",
      comment: "aws-lambda is a package of types only",
      severity: "error",
      from: {},
      to: { couldNotResolve: true, pathNot: "^aws-lambda$" },
    },
    {
      name: "no-dev-dependencies-in-product",
      comment: "the console is built once; what it is made of is in its files",
      severity: "error",
      from: { path: "^(shared|events|functions|workers|cli|local)/", pathNot: "\\.test\\.ts$" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
    {
      name: "domain-is-pure",
      comment: "states, policies and ids know nothing of transport, storage or the machine",
      severity: "error",
      from: { path: "^shared/domain/", pathNot: "\\.test\\.ts$" },
      to: { pathNot: ["^shared/domain/", "node_modules/(zod|ulid)/"] },
    },
    {
      name: "events-on-domain-only",
      severity: "error",
      from: { path: "^events/", pathNot: "\\.test\\.ts$" },
      to: { pathNot: ["^events/", "^shared/domain/", "node_modules/zod/"] },
    },
    {
      name: "shared-imports-no-part",
      severity: "error",
      from: { path: "^(shared|events)/", pathNot: "\\.test\\.ts$" },
      to: { path: outside },
    },
    {
      name: "jobfile-on-domain-only",
      severity: "error",
      from: { path: "^shared/jobfile/" },
      to: { path: "^shared/(clients|repository|api|api-client|infrastructure)/" },
    },
    {
      name: "functions-stand-alone",
      severity: "error",
      from: { path: "^functions/", pathNot: "\\.test\\.ts$" },
      to: { path: "^(workers|cli|console|local|stacks|test|bench)/" },
    },
    {
      name: "workers-stand-alone",
      severity: "error",
      from: { path: "^workers/", pathNot: "\\.test\\.ts$" },
      to: { path: "^((functions|cli|console|local|stacks|test|bench)/|shared/repository/)" },
    },
    {
      name: "cli-by-the-api-only",
      severity: "error",
      from: { path: "^cli/", pathNot: "\\.test\\.ts$" },
      to: {
        path: `${outside}|^shared/`,
        pathNot: [
          "^cli/",
          "^shared/(api-client|domain|jobfile|api)/",
          "^shared/(version|log-chunk|read-ahead|make-folder)\\.ts$",
          "^local/main\\.ts$",
        ],
      },
    },
    {
      name: "console-by-the-api-only",
      severity: "error",
      from: { path: "^console/" },
      to: {
        path: "^(functions|workers|cli|local|stacks|test|bench|scripts|shared)/",
        pathNot: ["^shared/(api-client|domain|jobfile|api)/"],
      },
    },
    {
      name: "cli-starts-local-in-one-place",
      severity: "error",
      from: { path: "^cli/", pathNot: "^cli/commands/dev\\.ts$" },
      to: { path: "^local/" },
    },
    {
      name: "local-wires-functions-and-workers",
      severity: "error",
      from: { path: "^local/", pathNot: "\\.test\\.ts$" },
      to: { path: "^(cli|console|stacks|test|bench)/" },
    },
    {
      name: "nothing-imports-tests-or-stacks",
      severity: "error",
      from: { path: "^(shared|events|functions|workers|cli|local|console)/", pathNot: "\\.test\\.ts$" },
      to: { path: "^(test|stacks|bench)/" },
    },
    {
      name: "stacks-on-definitions-only",
      comment: "what is deployed is described by shared/, never by code that runs there",
      severity: "error",
      from: { path: "^stacks/" },
      to: {
        path: "^(functions|workers|cli|console|local|test|bench|scripts)/|^shared/(clients|api|api-client|jobfile)/",
      },
    },
    onlyIn("dockerode-in-the-docker-executor", ["dockerode", "@types/dockerode"], ["^workers/executors/docker/"]),
    onlyIn("ssh2-in-its-client", ["ssh2"], ["^shared/clients/ssh"]),
    onlyIn("sqs-in-its-client", ["@aws-sdk/client-sqs"], ["^shared/clients/", "^local/"]),
    onlyIn(
      "s3-in-its-client",
      ["@aws-sdk/client-s3", "@aws-sdk/lib-storage", "@aws-sdk/s3-request-presigner"],
      ["^shared/clients/", "^local/"],
    ),
    onlyIn("ecr-in-its-client", ["@smithy/signature-v4"], ["^shared/clients/"]),
    onlyIn("ssm-in-its-client", ["@aws-sdk/client-ssm"], ["^shared/clients/"]),
    onlyIn(
      "dynamodb-in-the-repository",
      ["@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb", "@aws-sdk/util-dynamodb"],
      ["^shared/repository/", "^local/"],
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)(\\.sluice|\\.peers|test-output|console/dist)/" },
    parser: "swc",
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: [".ts", ".tsx", ".js", ".mjs", ".json"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
  },
};
