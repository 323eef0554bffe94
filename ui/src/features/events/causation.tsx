import { UnstyledButton } from "@mantine/core";
import type { Schemas } from "@/api/client";
import { formatCount } from "@/lib/format";
import type { LogEvent } from "@/live/event";
import classes from "./event-drawer.module.css";
import { EventType } from "./event-parts";
import { summaryOf } from "./summary";

/** How far a tree is moved to the right at most: a chain of causes may be long. */
const DEPTH_MAX = 6;

type CausationProps = Pick<
  Schemas["EventWithCauses"],
  "event" | "causes" | "effects" | "is_complete"
> & { onGo: (position: number) => void };

/** What led to an event, from the first cause on, and what it led to at once. */
export function Causation({ event, causes, effects, is_complete, onGo }: CausationProps) {
  const above = [...causes].reverse();
  return (
    <section aria-label="Causes and effects">
      <header className={classes.head}>
        <h3>Causes and effects</h3>
      </header>
      <ol className={classes.tree}>
        {!is_complete && (
          <li className={classes.note}>
            What led to the first of these is far back, or not yours to see.
          </li>
        )}
        {above.map((cause, depth) => (
          <Node key={cause.position} event={cause as LogEvent} depth={depth} onGo={onGo} />
        ))}
        <Node event={event as LogEvent} depth={above.length} isCurrent onGo={onGo} />
        {effects.map((effect) => (
          <Node
            key={effect.position}
            event={effect as LogEvent}
            depth={above.length + 1}
            onGo={onGo}
          />
        ))}
        {effects.length === 0 && <li className={classes.note}>It has led to nothing yet.</li>}
      </ol>
    </section>
  );
}

interface NodeProps {
  event: LogEvent;
  depth: number;
  isCurrent?: boolean;
  onGo: (position: number) => void;
}

function Node({ event, depth, isCurrent, onGo }: NodeProps) {
  return (
    <li>
      <UnstyledButton
        className={classes.node}
        aria-current={isCurrent ? "true" : undefined}
        style={{ "--depth": Math.min(depth, DEPTH_MAX) } as React.CSSProperties}
        onClick={() => onGo(event.position)}
      >
        <span className={classes.nodePosition}>{formatCount(event.position)}</span>
        <EventType event={event} />
        <bdi className={classes.nodeText}>{summaryOf(event)}</bdi>
      </UnstyledButton>
    </li>
  );
}
