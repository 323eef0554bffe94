import { createContext, useContext, useSyncExternalStore } from "react";
import type { Connection } from "./connection";
import type { LiveHub } from "./hub";

/** The hub of the session; there is one wherever somebody is logged in. */
export const LiveContext = createContext<LiveHub | null>(null);

/** The hub, for what must reach it outside of the hooks of this folder. */
export function useLiveHub(): LiveHub {
  const hub = useContext(LiveContext);
  if (!hub) throw new Error("there is no live stream outside of the shell");
  return hub;
}

/** How the stream is. */
export function useConnection(): Connection {
  const hub = useLiveHub();
  return useSyncExternalStore(
    (onChange) => hub.listen({ onConnection: onChange }),
    () => hub.connection,
  );
}
