import { getRouteApi } from "@tanstack/react-router";
import { useActions } from "@/app/actions/use-actions";
import { HairlineProgress } from "@/components/hairline-progress";
import { NewRowsPill } from "@/components/new-rows-pill";
import { PageHeader } from "@/components/page-header";
import { useSession } from "@/features/auth/session";
import { EventDrawer } from "./event-drawer";
import { EventFilters } from "./event-filters";
import { EventFoot } from "./event-foot";
import { EventList } from "./event-list";
import classes from "./events.module.css";
import { ExportMenu } from "./export-menu";
import { type EventSearch, filterOf } from "./search";
import { useEventLog } from "./use-event-log";

const route = getRouteApi("/app/events");

/** The log: at its end, or at a position of it, and on in both directions. */
export function EventsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const change = (part: Partial<EventSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const { at, ...shown } = search;
  return (
    <>
      <PageHeader title="Events" actions={<ExportMenu search={search} />} />
      <Explanation />
      <EventFilters search={search} onChange={change} />
      <EventLog
        key={JSON.stringify(shown)}
        search={search}
        onOpen={(position) => change({ at: String(position) })}
        onClear={() => void navigate({ search: {} as EventSearch })}
        onLive={() => change({ after: undefined })}
      />
      {at !== undefined && (
        <EventDrawer
          position={Number(at)}
          onGo={(position) => change({ at: String(position) })}
          onClose={() => change({ at: undefined })}
        />
      )}
    </>
  );
}

function Explanation() {
  const isAdmin = useSession().value.role === "admin";
  return (
    <p className={classes.explanation}>
      Whatever changes in Trinity is one event here, in one order and never altered; every other
      page is derived from it.
      {!isAdmin && " You see the events of the agents that you may operate."}
    </p>
  );
}

interface EventLogProps {
  search: EventSearch;
  onOpen: (position: number) => void;
  onClear: () => void;
  onLive: () => void;
}

function EventLog({ search, onOpen, onClear, onLive }: EventLogProps) {
  const log = useEventLog(search);
  const { isAtHead, setFollowing, newCount } = log;
  // Where the end of the log is not read yet it is read anew, instead of everything up to it.
  const follow = () => (isAtHead ? setFollowing(true) : onLive());
  useActions([
    { id: "events.follow", label: "Follow the log", group: "List", keys: "f", run: follow },
  ]);
  return (
    <>
      <HairlineProgress isActive={log.query.isFetching && !log.query.isPending} />
      <EventList
        filter={filterOf(search)}
        goTo={search.after === undefined ? null : Number(search.after) + 1}
        log={log}
        onOpen={onOpen}
        onClear={onClear}
      />
      <NewRowsPill edge="end" count={newCount} isStale={false} onShow={follow} />
      <EventFoot log={log} onFollow={follow} />
    </>
  );
}
