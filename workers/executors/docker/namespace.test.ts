import { expect, it } from "vitest";
import { isPassingNetworkFault } from "./namespace.ts";

/** What the daemon answers, as the client throws it. */
const refusal = (statusCode: number, message: string) => Object.assign(new Error(message), { statusCode });

it.each([
  refusal(
    404,
    "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
  ),
  refusal(400, "all predefined address pools have been fully subnetted"),
  refusal(403, "Pool overlaps with other one on this address space"),
  refusal(403, "cannot create network a (br-a): conflicts with network b (br-b): networks have overlapping IPv4"),
  refusal(409, "network with name sluice-1 already exists"),
  refusal(409, 'Conflict. The container name "/sluice-1" is already in use by container "a"'),
])("takes for passing: $message", (error) => {
  expect(isPassingNetworkFault(error)).toBe(true);
});

it.each([
  refusal(500, "failed to create task for container: no space left on device"),
  refusal(404, "No such image: sluice-pause:1-amd64"),
  new Error("connect ENOENT /var/run/docker.sock"),
])("does not take for passing: $message", (error) => {
  expect(isPassingNetworkFault(error)).toBe(false);
});
