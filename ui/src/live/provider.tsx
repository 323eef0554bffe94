import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useEffectEvent, useState } from "react";
import { onResponse } from "@/api/client";
import { noteServerTime } from "@/components/clock";
import { useSession } from "@/features/auth/session";
import { LiveContext } from "./context";
import { LiveHub } from "./hub";
import { type Lag, LagContext, lagOf } from "./lag";

/** Opens the live stream for as long as somebody is logged in. */
export function LiveProvider(props: { onSignedOut: () => void; children: ReactNode }) {
  const session = useSession();
  // Where this tab began; the session may be read again later.
  const [position] = useState(session.position);
  const client = useQueryClient();
  const [hub, setHub] = useState<LiveHub | null>(null);
  const [lag, setLag] = useState<Lag | null>(null);
  const onSignedOut = useEffectEvent(() => props.onSignedOut());

  useEffect(() => {
    const opened = new LiveHub(position);
    setHub(opened);
    opened.listen({
      onReset: () => {
        // A list of many pages would be read page by page: it begins again at its first one.
        const isList = (data: unknown) =>
          typeof data === "object" && data !== null && "pages" in data;
        void client.resetQueries({ predicate: ({ state }) => isList(state.data) });
        void client.invalidateQueries({ predicate: ({ state }) => !isList(state.data) });
      },
      onServerTime: noteServerTime,
      onSignedOut: () => onSignedOut(),
    });
    const endListening = onResponse((response) => {
      if (response.status === 401) onSignedOut();
      const date = response.headers.get("date");
      if (date) noteServerTime(date);
      const at = Number(response.headers.get("position") ?? 0);
      if (at > 0) setLag(lagOf(at, opened.recent));
    });
    return () => {
      endListening();
      opened.close();
      setHub(null);
    };
  }, [client, position]);

  if (!hub) return null;
  return (
    <LiveContext value={hub}>
      <LagContext value={lag}>{props.children}</LagContext>
    </LiveContext>
  );
}
