import { useEffect, useState } from "react";
import { api, load } from "@/api/client";
import type { ApiError } from "@/api/problem";
import type { LogPlace } from "./log-source";
import { found, isComplete, jumped, type LogSearch, searchFor } from "./search-cursor";

/** How many matches are read at once; the server gives no more. */
const MATCHES_PER_READ = 1_000;

/** Searches a log on the server, on and on until all of it was looked at. */
export function useLogSearch(place: LogPlace, q: string | undefined) {
  const [search, setSearch] = useState<LogSearch | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const { agent, id, incarnation } = place;
  useEffect(() => {
    setError(null);
    setSearch(q ? searchFor(q) : null);
  }, [q]);
  const next = search && !isComplete(search) && error === null ? search.next : null;
  const wanted = search?.q;
  useEffect(() => {
    if (next === null || !wanted) return;
    const stop = new AbortController();
    const query = { q: wanted, after: next, limit: MATCHES_PER_READ, incarnation };
    const params = { path: { name: agent, id }, query };
    const { signal } = stop;
    load(api.GET("/api/agents/{name}/executions/{id}/log", { params, signal }))
      .then(({ value }) => {
        const seqs = value.entries.map(({ seq }) => seq);
        const answer = { seqs, next: value.next, total: value.total };
        if (!signal.aborted) setSearch((now) => (now?.q === wanted ? found(now, answer) : now));
      })
      .catch((failure: ApiError) => {
        if (!signal.aborted) setError(failure);
      });
    return () => stop.abort();
  }, [next, wanted, agent, id, incarnation]);
  return {
    search,
    error,
    /** Moves to another match; gives back its line, or null when there is none. */
    jump: (by: 1 | -1, from: number, total: number): number | null => {
      if (!search) return null;
      const moved = jumped(search, by, from);
      // Lines that have come since are looked at when the last match is passed.
      const isPast = moved.current < search.current && by === 1;
      setSearch(isPast && total > search.total ? { ...moved, total } : moved);
      return moved.matches[moved.current] ?? null;
    },
  };
}
