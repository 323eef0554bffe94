import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useLiveHub } from "@/live/context";
import { useLiveData } from "@/live/hooks";
import { useStaleRefresh } from "@/live/use-stale-refresh";
import { type AgentsPage, applyToAgents, applyToLatest, type LatestRuns } from "./list";
import { agentsQuery, latestQuery } from "./queries";

const NO_RUNS: LatestRuns = {};

/** The agents that one may see, kept current. */
export function useAgentList() {
  const hub = useLiveHub();
  const options = agentsQuery(hub.recent.floor);
  const query = useInfiniteQuery(options);
  useLiveData<AgentsPage>(options.queryKey, query.data, applyToAgents);
  const pages = query.data?.pages;
  const agents = useMemo(() => pages?.flatMap(({ value }) => value.agents) ?? [], [pages]);
  const isStale = pages?.some(({ value }) => value.isStale) ?? false;
  useStaleRefresh(options.queryKey, query.data, isStale);
  return { query, agents };
}

/** The agents that one may see, kept current, with what each of them ran last. */
export function useAgents() {
  const hub = useLiveHub();
  const list = useAgentList();
  const latestOptions = latestQuery(hub.recent.floor);
  const latest = useQuery(latestOptions);
  useLiveData<LatestRuns>(latestOptions.queryKey, latest.data, applyToLatest);
  return { ...list, latest: latest.data?.value ?? NO_RUNS };
}
