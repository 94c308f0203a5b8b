import { Link } from "@tanstack/react-router";
import { memo } from "react";
import type { Worker } from "../../shared/api/schemas.ts";
import { formatBytes, formatNumber, plural } from "../../shared/domain/format.ts";
import { FleetPill } from "../fleet/marks.tsx";
import { formatShare, UseBar } from "../fleet/use-bar.tsx";
import { shortWorkerId } from "../fleet/worker-link.tsx";
import { DrainButton } from "./drain-button.tsx";
import { WorkerNotes } from "./worker-notes.tsx";

/** A worker that is here; drawn again only when something about it has changed. */
export const WorkerCard = memo(function WorkerCard({ worker, mayAct }: { worker: Worker; mayAct: boolean }) {
  const { use } = worker;
  const used = worker.slots - worker.slotsFree;
  return (
    <li className="card worker-card">
      <div className="card-head">
        <Link
          to="/workers/$worker"
          params={{ worker: worker.workerId }}
          data-row
          className="cut"
          title={worker.workerId}
        >
          <strong>{worker.host}</strong> <span className="dim mono small">{shortWorkerId(worker.workerId)}</span>
        </Link>
        <FleetPill state={worker.state} />
      </div>
      <div className="use">
        <UseBar
          label={`${formatNumber(used)} of ${plural(worker.slots, "slot")} used`}
          used={used}
          total={worker.slots}
        />
        <span className="number dim">
          {formatNumber(used)}/{formatNumber(worker.slots)}
        </span>
      </div>
      <div className="worker-foot">
        <p className="dim cut" title={`${worker.provider} ${worker.instanceType ?? ""}, version ${worker.version}`}>
          {worker.pool}, {worker.instanceType ?? worker.provider}, {plural(worker.held, "task")} held
        </p>
        <p className="dim number cut">{use ? <HostUse use={use} /> : "has not told yet how busy it is"}</p>
        {mayAct ? <DrainButton worker={worker} /> : null}
      </div>
      <WorkerNotes worker={worker} />
    </li>
  );
});

function HostUse({ use: { cpu, memoryBytes, diskBytes } }: { use: NonNullable<Worker["use"]> }) {
  const usedDisk = diskBytes.total - diskBytes.free;
  return (
    <span
      title={`memory ${formatBytes(memoryBytes.used)} of ${formatBytes(memoryBytes.total)}, disk ${formatBytes(diskBytes.free)} free`}
    >
      cpu {formatShare(cpu, 1)}, mem {formatShare(memoryBytes.used, memoryBytes.total)}, disk{" "}
      {formatShare(usedDisk, diskBytes.total)}
    </span>
  );
}
