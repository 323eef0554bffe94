import { type InfiniteData, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import type { Loaded } from "@/api/client";
import { useLiveHub } from "@/live/context";
import { useLiveData } from "@/live/hooks";
import { applyToPage, type ExecutionsPage, merged, newRows } from "./list-page";
import { executionsQuery } from "./queries";
import type { ExecutionSearch } from "./search";

/** The list of executions that fit a filter, kept current, and what waits to be shown in it. */
export function useExecutionList(search: ExecutionSearch) {
  const client = useQueryClient();
  const hub = useLiveHub();
  const options = executionsQuery(search, hub.recent.floor);
  const query = useInfiniteQuery(options);
  useLiveData<ExecutionsPage>(options.queryKey, query.data, (page, events, index) =>
    applyToPage(search, page, events, index),
  );
  const pages = query.data?.pages;
  const rows = useMemo(() => pages?.flatMap(({ value }) => value.rows) ?? [], [pages]);
  const first = pages?.[0]?.value;

  /** Puts the new rows among the others, or reads the list again where that is not enough. */
  const showNew = () => {
    if (first?.isStale) {
      void client.resetQueries({ queryKey: options.queryKey, exact: true });
      return;
    }
    client.setQueryData<InfiniteData<Loaded<ExecutionsPage>>>(options.queryKey, (data) => {
      const [head, ...rest] = data?.pages ?? [];
      if (!data || !head) return data;
      const value = merged(search, head.value, Date.now());
      return value === head.value ? data : { ...data, pages: [{ ...head, value }, ...rest] };
    });
  };
  return {
    query,
    rows,
    newCount: first ? newRows(search, first, Date.now()).length : 0,
    isStale: first?.isStale ?? false,
    showNew,
  };
}
