import type { Worker } from "../../shared/api/schemas.ts";
import { plural } from "../../shared/domain/format.ts";
import { api } from "../api/client.ts";
import { Confirm } from "../ui/confirm.tsx";
import { isHere } from "./filter-workers.ts";

/** Asks a worker to drain, or to go on after all; what becomes of it comes with its next heartbeats. */
export function DrainButton({ worker }: { worker: Worker }) {
  if (!isHere(worker)) return null;
  if (worker.drainRequestedAt !== undefined) {
    return (
      <Confirm
        label="Undrain"
        title={`Let ${worker.host} go on?`}
        action="Undrain"
        onConfirm={() => api.askWorker(worker.workerId, "undrain")}
      >
        <p>It takes tasks again, if it has not ended by then.</p>
      </Confirm>
    );
  }
  return (
    <Confirm
      label="Drain"
      title={`Drain ${worker.host}?`}
      action="Drain"
      kind="danger"
      onConfirm={() => api.askWorker(worker.workerId, "drain")}
    >
      <p>
        It takes no new tasks.{" "}
        {worker.held === 0
          ? "It holds none, and ends."
          : `The ${worker.held === 1 ? "task" : plural(worker.held, "task")} it holds may finish until its drain's deadline and ${worker.held === 1 ? "is" : "are"} then given back, unspent. Then it ends.`}
      </p>
    </Confirm>
  );
}
