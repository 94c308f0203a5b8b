import { useSyncExternalStore } from "react";
import type { Live } from "./live.ts";

/** Follows for as long as the component is there, which is drawn again with each change. */
export function useLive<Feed extends Pick<Live, "subscribe" | "getVersion">>(feed: Feed): Feed {
  useSyncExternalStore(feed.subscribe, feed.getVersion);
  return feed;
}
