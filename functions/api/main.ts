import { wireDeps } from "../wire.ts";
import { createApp } from "./app.ts";
import { createStreamingHandler } from "./lambda-adapter.ts";

const app = createApp(wireDeps("api", process.env));

/** The API as a Lambda function. */
export const handler = createStreamingHandler((request) => app.fetch(request));
