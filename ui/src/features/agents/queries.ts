import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";
import type { paths } from "@/api/schema";
import { agentPageOf } from "./agent-state";
import type { AgentsPage } from "./list";
import { bucketOf, SPAN_MS, type Span } from "./overview/spans";

/** How many agents are read at once; with a fleet larger than that the list goes on as one scrolls. */
const PAGE_AGENTS = 1_000;

type ListQuery = NonNullable<paths["/api/agents"]["get"]["parameters"]["query"]>;

/** The agents that one may see, newest first, each page holding at `floor` or later. */
export function agentsQuery(floor: number) {
  return infiniteQueryOptions({
    queryKey: keys.agents.list,
    queryFn: async ({ pageParam, signal }) => {
      const query: ListQuery = {
        ...(pageParam ?? { limit: PAGE_AGENTS }),
        min_position: floor,
      };
      const page = await load(api.GET("/api/agents", { params: { query }, signal }));
      const value: AgentsPage = { agents: page.value, isStale: false };
      return { ...page, value };
    },
    initialPageParam: null as Readonly<Record<string, string>> | null,
    getNextPageParam: (page) => page.next,
  });
}

/** What each agent was given last. */
export function latestQuery(floor: number) {
  return queryOptions({
    queryKey: keys.agents.latest,
    queryFn: async ({ signal }) => {
      const query = { min_position: floor };
      const found = await load(api.GET("/api/executions/latest", { params: { query }, signal }));
      return { ...found, value: found.value.agents };
    },
  });
}

/** One agent with everything that its page shows. */
export function agentQuery(name: string, floor: number) {
  return queryOptions({
    queryKey: keys.agents.detail(name),
    queryFn: async ({ signal }) => {
      const params = { path: { name }, query: { min_position: floor } };
      const found = await load(api.GET("/api/agents/{name}", { params, signal }));
      return { ...found, value: agentPageOf(found.value) };
    },
  });
}

/** Whom an agent may call, and who may call it. */
export function permissionsQuery(name: string, floor: number) {
  return queryOptions({
    queryKey: keys.agents.permissions(name),
    queryFn: ({ signal }) => {
      const params = { path: { name }, query: { min_position: floor } };
      return load(api.GET("/api/agents/{name}/permissions", { params, signal }));
    },
  });
}

/** How the executions of an agent went that ended within the last hours or days. */
export function historyQuery(name: string, span: Span, floor: number) {
  return queryOptions({
    queryKey: keys.agents.history(name, span),
    queryFn: ({ signal }) => {
      const from = new Date(Date.now() - SPAN_MS[span]).toISOString();
      const query = { agent: name, from, bucket: bucketOf(span), min_position: floor };
      return load(api.GET("/api/executions/history", { params: { query }, signal }));
    },
  });
}

/** How full an agent was at each time of the last hours or days. */
export function slotHistoryQuery(name: string, span: Span, floor: number) {
  return queryOptions({
    queryKey: keys.agents.slotHistory(name, span),
    queryFn: ({ signal }) => {
      const from = new Date(Date.now() - SPAN_MS[span]).toISOString();
      const params = { path: { name }, query: { from, min_position: floor } };
      return load(api.GET("/api/agents/{name}/slots/history", { params, signal }));
    },
  });
}
