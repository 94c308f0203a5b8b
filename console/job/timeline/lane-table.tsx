import { Link } from "@tanstack/react-router";
import { formatDuration, formatNumber } from "../../../shared/domain/format.ts";
import { ScrollRegion } from "../../ui/scroll-region.tsx";
import { busyShare, type Lane } from "./lanes.ts";

/** The lanes in words: for who cannot see them, and for exact numbers. */
export function LaneTable({ lanes }: { lanes: readonly Lane[] }) {
  return (
    <section className="panel" aria-labelledby="lanes-title">
      <h2 id="lanes-title">Workers</h2>
      <ScrollRegion className="lanes-scroll" label="What each worker did">
        <table className="table lanes-table">
          <thead>
            <tr>
              <th scope="col">worker</th>
              <th scope="col" className="right">
                attempts
              </th>
              <th scope="col" className="right">
                not completed
              </th>
              <th scope="col" className="right">
                at once
              </th>
              <th scope="col" className="right">
                busy
              </th>
            </tr>
          </thead>
          <tbody>
            {lanes.map((lane) => (
              <tr key={lane.workerId}>
                <td className="mono cut">
                  <Link to="/workers/$worker" params={{ worker: lane.workerId }}>
                    {lane.workerId}
                  </Link>
                </td>
                <td className="right number">{formatNumber(lane.attempts)}</td>
                <td className="right number">{lane.incomplete === 0 ? "" : formatNumber(lane.incomplete)}</td>
                <td className="right number">{formatNumber(lane.rows.length)}</td>
                <td
                  className="right number"
                  title={`${formatDuration(lane.busyMs)} of attempts within ${formatDuration(lane.spanMs)}`}
                >
                  {Math.round(100 * busyShare(lane))} %
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
    </section>
  );
}
