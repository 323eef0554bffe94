import { useElementSize, useMergedRef } from "@mantine/hooks";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import { AgentCard } from "./agent-card";
import classes from "./agents.module.css";
import type { AgentRow } from "./columns";

const TILE_WIDTH_MIN = 296;
const TILE_HEIGHT = 136;
const GAP = 16;
const MARGIN = 24;

interface AgentCardsProps {
  rows: readonly AgentRow[];
  hasMore: boolean;
  onNeedMore: () => void;
}

/** Agents as cards side by side: only those in view are drawn. */
export function AgentCards({ rows, hasMore, onNeedMore }: AgentCardsProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const { ref, width } = useElementSize<HTMLDivElement>();
  const inner = Math.max(0, width - 2 * MARGIN);
  const columns = Math.max(1, Math.floor((inner + GAP) / (TILE_WIDTH_MIN + GAP)));
  const tileWidth = (inner - (columns - 1) * GAP) / columns;
  const lines = Math.ceil(rows.length / columns);
  const virtualizer = useVirtualizer({
    count: lines,
    getScrollElement: () => scroller.current,
    estimateSize: () => TILE_HEIGHT + GAP,
    paddingStart: GAP,
    overscan: 4,
  });
  const items = virtualizer.getVirtualItems();
  const isNearEnd = hasMore && (items.at(-1)?.index ?? 0) >= lines - 2;
  // biome-ignore lint/correctness/useExhaustiveDependencies: again after each page
  useEffect(() => {
    if (isNearEnd) onNeedMore();
  }, [isNearEnd, rows.length]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
    <div ref={useMergedRef(scroller, ref)} className={classes.scroller} tabIndex={0}>
      <ul
        className={classes.tiles}
        aria-label="Agents, newest first"
        style={{ height: virtualizer.getTotalSize() }}
      >
        {items.flatMap((item) =>
          rows.slice(item.index * columns, (item.index + 1) * columns).map((row, column) => (
            <li
              key={row.agent.incarnation}
              className={classes.tile}
              aria-setsize={rows.length}
              aria-posinset={item.index * columns + column + 1}
              data-faint={row.agent.phase === "stopped" || undefined}
              style={{
                width: tileWidth,
                height: TILE_HEIGHT,
                transform: `translate(${MARGIN + column * (tileWidth + GAP)}px, ${item.start}px)`,
              }}
            >
              <AgentCard row={row} />
            </li>
          )),
        )}
      </ul>
    </div>
  );
}
