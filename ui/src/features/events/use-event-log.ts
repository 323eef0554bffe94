import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { useLiveHub } from "@/live/context";
import { useLiveData } from "@/live/hooks";
import { applyToEvents, type EventPages, trimmed } from "./pages";
import { eventsQuery } from "./queries";
import { type EventSearch, filterOf } from "./search";

/** How many events are held while nobody reads further back. */
const KEPT_EVENTS_MAX = 5_000;

/** The log as far as it fits an address, kept current at its end, and whether that end is followed. */
export function useEventLog(search: EventSearch) {
  const hub = useLiveHub();
  const client = useQueryClient();
  const options = eventsQuery(search, hub);
  const query = useInfiniteQuery(options);
  const filter = filterOf(search);
  useLiveData(options.queryKey, query.data, (page, events) => applyToEvents(filter, page, events));
  const pages = query.data?.pages;
  const rows = useMemo(() => pages?.flatMap(({ value }) => value.items) ?? [], [pages]);
  const isAtHead = pages?.at(-1)?.value.isHead ?? false;
  const follow = useFollow(rows, search.after === undefined);

  const isTooMuch = follow.isFollowing && rows.length > KEPT_EVENTS_MAX;
  useEffect(() => {
    if (!isTooMuch) return;
    client.setQueryData<EventPages>(
      options.queryKey,
      (data) => data && trimmed(data, KEPT_EVENTS_MAX / 2),
    );
  });
  return { query, rows, isAtHead, ...follow };
}

/** Whether the end is followed, and how many rows have come since it is not. */
function useFollow(rows: readonly { position: number }[], isAtFirst: boolean) {
  const [isFollowing, setFollowing] = useState(isAtFirst);
  const [seen, setSeen] = useState(0);
  const last = rows.at(-1)?.position ?? 0;
  useEffect(() => {
    if (isFollowing) setSeen(last);
  }, [isFollowing, last]);
  const newCount =
    isFollowing || seen === 0
      ? 0
      : rows.length - 1 - rows.findLastIndex((row) => row.position <= seen);
  return { isFollowing, setFollowing, newCount };
}
