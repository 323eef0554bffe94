import { Button } from "@mantine/core";
import { getRouteApi, type NavigateOptions } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { DENSITY } from "@/app/preferences";
import { alternatives } from "@/app/search-params";
import { DataTable } from "@/components/data-table/data-table";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { ChoiceFilter } from "@/components/filters/choice-filter";
import filters from "@/components/filters/filters.module.css";
import { SearchBox } from "@/components/filters/search-box";
import { HairlineProgress } from "@/components/hairline-progress";
import { NewRowsPill } from "@/components/new-rows-pill";
import { NextPage } from "@/components/next-page";
import { SkeletonRows } from "@/components/skeleton-rows";
import { useStored } from "@/lib/storage";
import { executionLink } from "../links";
import { useAgent } from "../use-agent";
import classes from "./activity-page.module.css";
import { ActivityCard, columnsOf } from "./columns";
import {
  ACTIVITY_STATES,
  ACTIVITY_TYPES,
  ACTIVITY_WORD,
  type ActivitySearch,
  SOURCES,
  STATE_WORD,
} from "./search";
import { rowsOf } from "./tree";
import { useActivities } from "./use-activities";

const route = getRouteApi("/app/agents/$name/activity");

/** What happens on the agent, as it happens: each entry below what led to it. */
export function ActivityPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const narrow = (change: Partial<ActivitySearch>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  return (
    <>
      <search className={`${filters.bar} ${classes.bar}`}>
        <ChoiceFilter
          label="Type"
          choices={ACTIVITY_TYPES.map((value) => ({ value, label: ACTIVITY_WORD[value] }))}
          chosen={alternatives(search.type)}
          onChange={(chosen) => narrow({ type: chosen.join(",") || undefined })}
        />
        <ChoiceFilter
          label="State"
          choices={ACTIVITY_STATES.map((value) => ({ value, label: STATE_WORD[value] }))}
          chosen={alternatives(search.state)}
          onChange={(chosen) => narrow({ state: chosen.join(",") || undefined })}
        />
        <ChoiceFilter
          label="Source"
          choices={SOURCES.map((value) => ({ value, label: value }))}
          chosen={alternatives(search.triggered_by)}
          onChange={(chosen) => narrow({ triggered_by: chosen.join(",") || undefined })}
        />
        <SearchBox
          label="Words of the message"
          value={search.q}
          onChange={(q) => q !== search.q && narrow({ q })}
        />
      </search>
      <Stream
        key={JSON.stringify(search)}
        search={search}
        onClear={() => void navigate({ search: {}, replace: true })}
      />
    </>
  );
}

interface StreamProps {
  search: ActivitySearch;
  onClear: () => void;
}

function Stream({ search, onClear }: StreamProps) {
  const { name } = useAgent();
  const navigate = route.useNavigate();
  const [density] = useStored(DENSITY);
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const { query, activities, isBehind, showNew } = useActivities(name, search);
  const rows = useMemo(() => rowsOf(activities, toggled), [activities, toggled]);
  const toggle = useCallback((id: string) => setToggled((before) => flipped(before, id)), []);
  const columns = useMemo(() => columnsOf(toggle), [toggle]);
  if (query.isPending) return <SkeletonRows height={density === "compact" ? 36 : 44} />;
  if (query.isError && activities.length === 0) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  // A page may be empty and still lead to a next one, where the server looks through many entries.
  if (rows.length === 0 && !query.hasNextPage) {
    const isFiltered = Object.values(search).some((value) => value !== undefined);
    return isFiltered ? (
      <EmptyState
        title="No activity matches"
        actions={
          <Button variant="default" onClick={onClear}>
            Clear the filter
          </Button>
        }
      />
    ) : (
      <EmptyState title={`Nothing has happened on ${name} yet`}>
        Its tasks, their tool calls and its calls of other agents appear here.
      </EmptyState>
    );
  }
  return (
    <>
      <HairlineProgress isActive={query.isFetchingNextPage} />
      <NewRowsPill count={0} isStale={isBehind} onShow={showNew} />
      <DataTable
        label={`Activity of ${name}, newest first`}
        columns={columns}
        rows={rows}
        getRowId={({ activity }) => activity.id}
        renderCard={(row) => <ActivityCard row={row} onToggle={toggle} />}
        density={density}
        hasMore={query.hasNextPage}
        onNeedMore={() => {
          if (!query.isFetching && !query.isFetchNextPageError) void query.fetchNextPage();
        }}
        onOpen={({ activity, below }) =>
          below > 0
            ? toggle(activity.id)
            : void navigate(executionLink(activity.related_execution_id) as NavigateOptions)
        }
        footer={
          <NextPage
            query={query}
            isLastEmpty={query.data?.pages.at(-1)?.value.activities.length === 0}
          />
        }
      />
    </>
  );
}

function flipped(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(id)) next.add(id);
  return next;
}
