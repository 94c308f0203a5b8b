import { useEffect, useState } from "react";
import type { Live } from "../../api/live.ts";

/** Draws the component again when the feed has changed, but not more often than so: for what is slow to draw. */
export function useThrottled(feed: Live, everyMs: number): void {
  const [, setVersion] = useState(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer = undefined;
      setVersion(feed.getVersion());
    };
    const forget = feed.subscribe(() => {
      timer ??= setTimeout(show, everyMs);
    });
    return () => {
      forget();
      clearTimeout(timer);
    };
  }, [feed, everyMs]);
}
