import { Link } from "@tanstack/react-router";
import { agentLink, executionLink } from "@/features/agents/links";
import { useUserName } from "@/features/auth/user-name";
import { executionIdOf } from "@/features/executions/fold";
import { formatCount } from "@/lib/format";
import { plainText } from "@/lib/plain-text";
import type { LogEvent } from "@/live/event";
import classes from "./events.module.css";
import { streamOf } from "./search";
import { eventLook, shortId } from "./words";

/** The position of an event, which opens it. */
export function EventPosition({ position }: Pick<LogEvent, "position">) {
  return (
    <Link
      to="/events"
      search={(before) => ({ ...before, at: String(position) })}
      replace
      className={classes.position}
      aria-label={`Open the event at position ${position}`}
      tabIndex={-1}
    >
      {formatCount(position)}
    </Link>
  );
}

/** What happened, with the shape of where. */
export function EventType({ event }: { event: LogEvent }) {
  const { icon: Icon, tone } = eventLook(event);
  return (
    <span className={classes.type}>
      <Icon className={classes.icon} data-tone={tone} size={15} stroke={1.7} aria-hidden />
      <span className={classes.typeName}>{event.type}</span>
    </span>
  );
}

/** The stream of an event, which leads to all of it. */
export function EventStream({ event }: { event: LogEvent }) {
  return (
    <Link
      to="/events"
      search={{ stream: streamOf(event) }}
      className={classes.link}
      title={`Only ${streamOf(event)}`}
      tabIndex={-1}
    >
      <span className={classes.dim}>{event.stream_type}</span> {shortId(event.stream_id)}
    </Link>
  );
}

/** The page of what an event is about; nothing where there is none. */
export function SubjectLink({ event }: { event: LogEvent }) {
  const id = executionIdOf(event);
  if (id !== null) return <Link {...executionLink(id)}>Open the execution</Link>;
  if (event.stream_type !== "agent") return null;
  return <Link {...agentLink(event.stream_id)}>Open the agent</Link>;
}

/** Who caused an event, in words that people know. */
export function Actor({ actor }: { actor: string }) {
  const [kind, name = ""] = split(actor);
  const userName = useUserName(kind === "user" && name !== "" ? name : null);
  if (name === "") return <span className={classes.dim}>{plainText(kind)}</span>;
  if (userName !== null) return <span title={actor}>{userName}</span>;
  const text = plainText(shortId(name));
  return (
    <span title={actor}>
      <span className={classes.dim}>{plainText(kind)}</span>{" "}
      {kind === "agent" ? (
        <Link {...agentLink(name)} className={classes.link} tabIndex={-1}>
          {text}
        </Link>
      ) : (
        text
      )}
    </span>
  );
}

function split(actor: string): [string, string?] {
  const colon = actor.indexOf(":");
  return colon < 0 ? [actor] : [actor.slice(0, colon), actor.slice(colon + 1)];
}
