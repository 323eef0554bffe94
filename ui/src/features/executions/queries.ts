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

/** How many executions fit a filter, of each value and in all, and what they cost together. */
export function facetsQuery(search: ExecutionSearch, floor: number) {
  return queryOptions({
    queryKey: keys.executions.facets(search),
    queryFn: ({ signal }) => {
      const query = { ...toQuery(search, Date.now()), min_position: floor };
      return load(api.GET("/api/executions/facets", { params: { query }, signal }));
    },
  });
}
