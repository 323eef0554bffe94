import { Tooltip } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { Link } from "@tanstack/react-router";
import { type KeyboardEvent, useRef, useState } from "react";
import type { Schemas } from "@/api/client";
import { TIME_ZONE } from "@/app/preferences";
import { EXECUTION_STATUS_LOOK } from "@/components/status";
import { formatCost } from "@/lib/format";
import { useStored } from "@/lib/storage";
import { zoned } from "@/lib/zoned";
import classes from "./run-strip.module.css";
import { barsOf, barText, OUTCOMES, type StripBar } from "./strip";

/** Below this width two hours share a bar, so that each can be hit by a finger. */
const NARROW = "(max-width: 640px)";

/** What a bar says is shown to whoever points at it, and to whoever reaches it by keys. */
const WHEN_SHOWN = { hover: true, focus: true, touch: false };

/** Every so many bars the time is written below. */
const LABEL_EVERY_HOURS = 6;

/** The runs of a day as bars, each leading to the executions of its time; one is reached by arrows. */
export function RunStrip({ buckets }: { buckets: readonly Schemas["HistoryBucket"][] }) {
  const isNarrow = useMediaQuery(NARROW, matchMedia(NARROW).matches) ?? false;
  const hours = isNarrow ? 2 : 1;
  const bars = barsOf(buckets, hours);
  const list = useRef<HTMLOListElement>(null);
  const [current, setCurrent] = useState(bars.length - 1);
  const highest = Math.max(1, ...bars.map(({ total }) => total));
  const onKeyDown = (event: KeyboardEvent) => {
    const target = targetOf(event.key, current, bars.length);
    if (target === null) return;
    event.preventDefault();
    list.current?.querySelectorAll("a")[target]?.focus();
  };
  return (
    <div className={classes.strip}>
      <ol ref={list} className={classes.bars} aria-label="Runs by the hour" onKeyDown={onKeyDown}>
        {bars.map((bar, index) => (
          <Bar
            key={bar.from}
            bar={bar}
            highest={highest}
            isCurrent={index === Math.min(current, bars.length - 1)}
            isLabelled={index % (LABEL_EVERY_HOURS / hours) === 0}
            onFocus={() => setCurrent(index)}
          />
        ))}
      </ol>
      <ul className={classes.legend} aria-label="Outcomes">
        {OUTCOMES.map((outcome) => (
          <li key={outcome} className={classes.entry}>
            <span className={classes.swatch} data-outcome={outcome} aria-hidden />
            {EXECUTION_STATUS_LOOK[outcome].word}
          </li>
        ))}
      </ul>
    </div>
  );
}

interface BarProps {
  bar: StripBar;
  /** The most that a bar of the strip has. */
  highest: number;
  isCurrent: boolean;
  isLabelled: boolean;
  onFocus: () => void;
}

function Bar({ bar, highest, isCurrent, isLabelled, onFocus }: BarProps) {
  const [zone] = useStored(TIME_ZONE);
  const begin = zoned(bar.from, zone);
  const end = zoned(bar.to, zone);
  const time = `${begin?.day} ${begin?.time.slice(0, 5)} – ${end?.time.slice(0, 5)}`;
  const cost = bar.total > 0 ? `, ${formatCost(bar.cost)}` : "";
  const text = `${time}: ${barText(bar)}${cost}`;
  return (
    <li className={classes.slot}>
      <Tooltip label={text} openDelay={0} events={WHEN_SHOWN}>
        <Link
          to="/executions"
          search={{ from: bar.from, to: bar.to }}
          className={classes.bar}
          aria-label={text}
          tabIndex={isCurrent ? 0 : -1}
          onFocus={onFocus}
        >
          {OUTCOMES.toReversed().map(
            (outcome) =>
              bar[outcome] > 0 && (
                <span
                  key={outcome}
                  className={classes.part}
                  data-outcome={outcome}
                  style={{ height: `${(bar[outcome] / highest) * 100}%` }}
                />
              ),
          )}
        </Link>
      </Tooltip>
      <span className={classes.label} aria-hidden>
        {isLabelled && begin?.time.slice(0, 5)}
      </span>
    </li>
  );
}

/** Where a key leads from a bar; null when it leads nowhere. */
function targetOf(key: string, index: number, count: number): number | null {
  const target = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: count - 1 }[key];
  return target === undefined || target < 0 || target >= count ? null : target;
}
