import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";
import { useLiveHub } from "@/live/context";
import { useLiveRefresh } from "@/live/hooks";

/** How the server is, as everybody may know. */
export const healthQuery = queryOptions({
  queryKey: keys.health,
  queryFn: ({ signal }) => load(api.GET("/api/health", { signal })),
});

/** What the server holds, as those who run it may know. */
const systemQuery = queryOptions({
  queryKey: keys.system,
  queryFn: ({ signal }) => load(api.GET("/api/system", { signal })),
});

/** How the server is; read again as the log grows, and with every heartbeat of the stream. */
export function useHealth() {
  const query = useQuery(healthQuery);
  useLiveRefresh(healthQuery.queryKey, query.data, always);
  useHeartbeat(healthQuery.queryKey);
  return query;
}

/** What the server holds; read again as `useHealth` is. Nothing is asked for where it is not allowed. */
export function useSystem(isAdmin: boolean) {
  const query = useQuery({ ...systemQuery, enabled: isAdmin });
  useLiveRefresh(systemQuery.queryKey, query.data, always);
  useHeartbeat(systemQuery.queryKey);
  return query;
}

const always = () => true;

/** Reads an answer again whenever the stream says that the server is there. */
function useHeartbeat(queryKey: readonly string[]) {
  const hub = useLiveHub();
  const client = useQueryClient();
  useEffect(
    () =>
      hub.listen({ onServerTime: () => void client.invalidateQueries({ queryKey, exact: true }) }),
    [hub, client, queryKey],
  );
}
