import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";
import { pageOf } from "./list-page";
import { type ExecutionSearch, type ExecutionsQuery, toQuery } from "./search";

const PAGE_ROWS = 100;

/** The list of executions that fit a filter, page by page, each holding at `floor` or later. */
export function executionsQuery(search: ExecutionSearch, floor: number) {
  return infiniteQueryOptions({
    queryKey: keys.executions.list(search),
    queryFn: async ({ pageParam, signal }) => {
      const first = { ...toQuery(search, Date.now()), limit: PAGE_ROWS };
      const query: ExecutionsQuery = { ...(pageParam ?? first), min_position: floor };
      const page = await load(api.GET("/api/executions", { params: { query }, signal }));
      return { ...page, value: pageOf(page.value) };
    },
    initialPageParam: null as Readonly<Record<string, string>> | null,
    getNextPageParam: (page) => page.next,
  });
}

/** How many executions there are of each value, by what the counts can be narrowed by. */
export function facetsQuery(search: ExecutionSearch, floor: number) {
  const { agent, status, triggered_by, from, to } = search;
  const counted = { agent, status, triggered_by, from, to };
  return queryOptions({
    queryKey: keys.executions.facets(counted),
    queryFn: ({ signal }) => {
      const narrowed: ExecutionSearch = {
        ...counted,
        q: undefined,
        cost_min: undefined,
        cost_max: undefined,
      };
      const { from, to, ...words } = toQuery(narrowed, Date.now());
      const query = {
        agent: words.agent,
        status: words.status,
        triggered_by: words.triggered_by,
        from,
        to,
        min_position: floor,
      };
      return load(api.GET("/api/executions/facets", { params: { query }, signal }));
    },
  });
}
