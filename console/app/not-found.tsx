import { Link } from "@tanstack/react-router";
import { Empty } from "../ui/panel.tsx";

/** What stands at a path that is no page's. */
export function NotFound() {
  return (
    <Empty title="There is no such page">
      <p>
        <Link to="/jobs">All jobs</Link>
      </p>
    </Empty>
  );
}
