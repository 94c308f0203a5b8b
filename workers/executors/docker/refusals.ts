import { type Reason, reasonFor } from "../../../shared/domain/reason.ts";
import { dockerMessage, statusOf } from "./docker-client.ts";

/** What Docker says (some of it as an error of the server) to containers that it would never run as they are asked for. */
const usersWords = /cannot mkdir|not a directory|no command specified|invalid (tmpfs|mount|working directory)/i;

/** What Docker was asked to run, in words for the user. */
export interface Launched {
  name: string;
  isService: boolean;
}

/** Why Docker did not create or start a container; what its job asks for is the user's to mend, and not tried again. */
export function explainRefusal(error: unknown, what: Launched): Reason {
  const words = dockerMessage(error);
  const detail = `Docker refused to run ${what.name}: ${words}`;
  const isUsers = statusOf(error) === 400 || usersWords.test(words);
  if (!isUsers) return reasonFor("internal", detail);
  return reasonFor(what.isService ? "service_unhealthy" : "exit_code", detail);
}
