import { useQuery } from "@tanstack/react-query";
import { createContext, useContext } from "react";
import { useLiveHub } from "@/live/context";
import { useLiveData } from "@/live/hooks";
import { useStaleRefresh } from "@/live/use-stale-refresh";
import { type AgentState, applyToAgent } from "./agent-state";
import type { AgentDetail } from "./fold";
import { agentQuery } from "./queries";

/** What is known of the agent of a page, kept current. */
export function useAgentState(name: string) {
  const hub = useLiveHub();
  const options = agentQuery(name, hub.recent.floor);
  const query = useQuery(options);
  useLiveData<AgentState>(options.queryKey, query.data, applyToAgent);
  useStaleRefresh(options.queryKey, query.data, query.data?.value.isStale ?? false);
  return query;
}

/** The agent of the page, for its parts. */
export const AgentContext = createContext<AgentDetail | null>(null);

/** The agent of the page around. */
export function useAgent(): AgentDetail {
  const agent = useContext(AgentContext);
  if (!agent) throw new Error("there is no agent outside of its page");
  return agent;
}
