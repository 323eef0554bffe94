import { Button } from "@mantine/core";
import { formatCount } from "@/lib/format";
import classes from "./events.module.css";
import type { useEventLog } from "./use-event-log";

interface EventFootProps {
  log: ReturnType<typeof useEventLog>;
  onFollow: () => void;
}

/** Where in the log one is, and the ways on. */
export function EventFoot({ log, onFollow }: EventFootProps) {
  const { query, rows, isFollowing, isAtHead } = log;
  if (query.isPending || rows.length === 0) return null;
  const isLive = isFollowing && isAtHead;
  const first = query.data?.pages[0]?.value;
  const last = query.data?.pages.at(-1)?.value;
  const isSparse = first?.items.length === 0 && query.hasPreviousPage && !query.isFetching;
  // The list asks for more only when it has grown. The button stays meanwhile, and keeps the focus.
  const isSparseOn = last?.items.length === 0 && query.hasNextPage && !query.isFetchNextPageError;
  const lookBack = () => void query.fetchPreviousPage();
  const lookOn = () => {
    if (!query.isFetching) void query.fetchNextPage();
  };
  return (
    <div className={classes.foot}>
      <span role="status">{isLive ? "Following the end of the log" : "Not at the end"}</span>
      <span className={classes.footActions}>
        {isSparse && (
          <>
            Looked back to {formatCount(first.after)}
            <FootButton label="Look further back" onClick={lookBack} />
          </>
        )}
        {query.isFetchPreviousPageError && (
          <>
            What is before could not be read
            <FootButton label="Retry" onClick={lookBack} />
          </>
        )}
        {isSparseOn && (
          <>
            Looked on to {formatCount(last.until)}
            <FootButton label="Look further on" onClick={lookOn} />
          </>
        )}
        {!isLive && <FootButton label="Jump to live" onClick={onFollow} />}
      </span>
    </div>
  );
}

function FootButton({ label, onClick }: { label: string; onClick: () => void }) {
  return (
    <Button size="compact-xs" variant="default" onClick={onClick}>
      {label}
    </Button>
  );
}
