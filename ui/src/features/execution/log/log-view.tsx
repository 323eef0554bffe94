import { Button } from "@mantine/core";
import { IconArrowDown } from "@tabler/icons-react";
import { useVirtualizer, type Virtualizer } from "@tanstack/react-virtual";
import {
  type ReactNode,
  type Ref,
  useEffect,
  useImperativeHandle,
  useLayoutEffect,
  useRef,
} from "react";
import { useActions } from "@/app/actions/use-actions";
import { formatCount } from "@/lib/format";
import { unseen } from "./follow";
import classes from "./log.module.css";
import type { LogSource } from "./log-source";
import { useFollow } from "./use-follow";

/** How many rows beside those in view are drawn. */
const OVERSCAN = 12;

/** How high a row is, once the browser has told; asking it for every new row would take too long. */
function measureElement(
  element: HTMLElement,
  entry: ResizeObserverEntry | undefined,
  instance: Virtualizer<HTMLDivElement, HTMLElement>,
): number {
  const box = entry?.borderBoxSize[0];
  if (box) return Math.round(box.blockSize);
  const index = instance.indexFromElement(element);
  return instance.itemSizeCache.get(index) ?? instance.options.estimateSize(index);
}

/** What can be told to a log that is shown. */
export interface LogHandle {
  /** Brings a line into view. */
  goTo(seq: number): void;
  /** The first line in view. */
  firstSeq(): number;
  /** The lines in view, from the first to the last. */
  range(): { first: number; last: number };
}

interface LogViewProps {
  label: string;
  source: LogSource;
  /** Another number whenever lines have come. */
  version: number;
  isLive: boolean;
  /** The line to begin at; the end without one. */
  target: number | null;
  /** How high a line is before it was drawn. */
  estimate: (seq: number) => number;
  children: (seq: number) => ReactNode;
  handle: Ref<LogHandle>;
}

/** Lines of any number: those in view are drawn, those near it are read, the end is followed. */
export function LogView(props: LogViewProps) {
  const { label, source, isLive, target, children } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const { total } = source.lines;
  const virtualizer = useVirtualizer<HTMLDivElement, HTMLElement>({
    count: total,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => props.estimate(index + 1),
    overscan: OVERSCAN,
    measureElement,
  });
  const height = virtualizer.getTotalSize();
  const isStarting = total === 0;
  const { follow, toEnd, toLine } = useFollow(scroller, { total, height, isStarting });
  const items = virtualizer.getVirtualItems();
  const first = (items[0]?.index ?? 0) + 1;
  const last = (items.at(-1)?.index ?? 0) + 1;
  // biome-ignore lint/correctness/useExhaustiveDependencies: lines that came may leave a gap in view
  useEffect(() => {
    if (total > 0) source.want(first, last);
  }, [source, first, last, total, props.version]);

  const goTo = (seq: number) => {
    toLine();
    virtualizer.scrollToIndex(Math.min(seq, source.lines.total) - 1, { align: "center" });
  };
  useImperativeHandle(props.handle, () => ({
    goTo,
    firstSeq: () => first,
    range: () => {
      const top = virtualizer.scrollOffset ?? 0;
      const bottom = top + (virtualizer.scrollRect?.height ?? 0);
      const seen = items.filter(({ start, end }) => end > top && start < bottom);
      return { first: (seen[0]?.index ?? 0) + 1, last: (seen.at(-1)?.index ?? 0) + 1 };
    },
  }));
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each line that is named
  useLayoutEffect(() => {
    if (target !== null && !isStarting) goTo(target);
  }, [target, isStarting]);
  useActions([{ id: "log.follow", label: "Go to the end", group: "Log", keys: "f", run: toEnd }]);

  const waiting = unseen(follow, total);
  return (
    <div className={classes.frame}>
      <div
        ref={scroller}
        className={classes.scroller}
        role="log"
        aria-live="off"
        aria-label={label}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keys
        tabIndex={0}
      >
        <div className={classes.body} style={{ height }}>
          {items.map((item) => (
            <div
              key={item.key}
              ref={virtualizer.measureElement}
              data-index={item.index}
              className={classes.line}
              style={{ transform: `translateY(${item.start}px)` }}
            >
              {children(item.index + 1)}
            </div>
          ))}
        </div>
      </div>
      {!follow.isFollowing && (
        <Button
          className={classes.jump}
          size="compact-sm"
          leftSection={<IconArrowDown size={14} aria-hidden />}
          onClick={toEnd}
        >
          {isLive ? "Jump to live" : "Jump to the end"}
          {waiting > 0 && ` – ${formatCount(waiting)} new`}
        </Button>
      )}
    </div>
  );
}
