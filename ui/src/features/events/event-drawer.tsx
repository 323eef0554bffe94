import { ActionIcon, Drawer } from "@mantine/core";
import { useWindowEvent } from "@mantine/hooks";
import { IconChevronDown, IconChevronUp } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { SHORTCUTS } from "@/app/preferences";
import { CopyButton } from "@/components/copy-button";
import { ErrorState } from "@/components/error-state";
import { Properties } from "@/components/properties";
import { SkeletonRows } from "@/components/skeleton-rows";
import { Time } from "@/components/time";
import { formatCount } from "@/lib/format";
import { readStored } from "@/lib/storage";
import { useLiveHub } from "@/live/context";
import type { LogEvent } from "@/live/event";
import { useLiveRefresh } from "@/live/hooks";
import { Causation } from "./causation";
import classes from "./event-drawer.module.css";
import { Actor, EventStream, EventType, SubjectLink } from "./event-parts";
import { eventQuery } from "./queries";
import { prettyData } from "./summary";

interface EventDrawerProps {
  position: number;
  onGo: (position: number) => void;
  onClose: () => void;
}

/** One event: what it says, what led to it and what it led to. */
export function EventDrawer({ position, onGo, onClose }: EventDrawerProps) {
  const hub = useLiveHub();
  const options = eventQuery(position, hub.recent.floor);
  const query = useQuery({ ...options, placeholderData: keepPreviousData });
  const id = query.data?.value.event.event_id;
  useLiveRefresh(options.queryKey, query.data, (event) => event.causation_id === id);
  const earlier = () => position > 1 && onGo(position - 1);
  const later = () => onGo(position + 1);
  // The keys of pages rest while a dialog is open.
  useWindowEvent("keydown", ({ key }) => {
    if (readStored(SHORTCUTS) === "off") return;
    if (key === "[") earlier();
    if (key === "]") later();
  });
  return (
    <Drawer
      opened
      onClose={onClose}
      position="right"
      size={560}
      title={
        <span className={classes.title}>
          Event {formatCount(position)}
          <ActionIcon
            size={24}
            aria-label="Event before"
            aria-keyshortcuts="["
            disabled={position <= 1}
            onClick={earlier}
          >
            <IconChevronUp size={16} />
          </ActionIcon>
          <ActionIcon size={24} aria-label="Event after" aria-keyshortcuts="]" onClick={later}>
            <IconChevronDown size={16} />
          </ActionIcon>
        </span>
      }
      overlayProps={{ backgroundOpacity: 0.2 }}
      transitionProps={{ duration: 120 }}
      closeButtonProps={{ "aria-label": "Close the event" }}
      attributes={{ header: { role: "presentation" } }}
    >
      {query.isPending && <SkeletonRows rows={6} />}
      {query.isError && <ErrorState error={query.error} onRetry={() => void query.refetch()} />}
      {query.data && (
        <div className={classes.content}>
          <Facts event={query.data.value.event as LogEvent} />
          <Body event={query.data.value.event as LogEvent} />
          <Causation {...query.data.value} onGo={onGo} />
        </div>
      )}
    </Drawer>
  );
}

function Facts({ event }: { event: LogEvent }) {
  return (
    <>
      <div className={classes.head}>
        <h2 className={classes.type}>
          <EventType event={event} />
        </h2>
        <SubjectLink event={event} />
      </div>
      <Properties
        items={[
          { name: "Recorded", value: <Time at={event.recorded_at} /> },
          { name: "Stream", value: <EventStream event={event} /> },
          { name: "Place in its stream", value: formatCount(event.version) },
          { name: "Actor", value: <Actor actor={event.actor} /> },
          { name: "Event id", value: <Id id={event.event_id} what="event id" /> },
          { name: "Command", value: <Id id={event.command_id} what="command" /> },
          { name: "Correlation", value: <Id id={event.correlation_id} what="correlation" /> },
        ]}
      />
    </>
  );
}

function Id({ id, what }: { id: string; what: string }) {
  return (
    <span className={classes.id}>
      <code className={classes.idText}>{id}</code>
      <CopyButton text={id} label={`Copy the ${what}`} />
    </span>
  );
}

function Body({ event }: { event: LogEvent }) {
  return (
    <section aria-label="Body">
      <header className={classes.head}>
        <h3>Body</h3>
        <CopyButton text={JSON.stringify(event, null, 2)} label="Copy the event as JSON" />
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <pre className={classes.json} tabIndex={0}>
        <bdi>{prettyData(event.data)}</bdi>
      </pre>
    </section>
  );
}
