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
  const isSparse = first?.items.length === 0 && query.hasPreviousPage && !query.isFetching;
  return (
    <div className={classes.foot}>
      <span role="status">{isLive ? "Following the end of the log" : "Not at the end"}</span>
      <span className={classes.footActions}>
        {isSparse && (
          <>
            Looked back to {formatCount(first.after)}
            <Button
              size="compact-xs"
              variant="default"
              onClick={() => void query.fetchPreviousPage()}
            >
              Look further back
            </Button>
          </>
        )}
        {query.isFetchPreviousPageError && (
          <>
            What is before could not be read
            <Button
              size="compact-xs"
              variant="default"
              onClick={() => void query.fetchPreviousPage()}
            >
              Retry
            </Button>
          </>
        )}
        {!isLive && (
          <Button size="compact-xs" variant="default" onClick={onFollow}>
            Jump to live
          </Button>
        )}
      </span>
    </div>
  );
}
