import { Link } from "@tanstack/react-router";
import type { Schemas } from "@/api/client";
import { Duration } from "@/components/duration";
import { ErrorState } from "@/components/error-state";
import { Properties } from "@/components/properties";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { Time } from "@/components/time";
import { formatBytes, formatCount } from "@/lib/format";
import type { useSystem } from "./queries";
import classes from "./system.module.css";

/** Below this share of the disk it is time to make room. */
const FREE_SHARE_MIN = 0.1;

/** What the server holds and how much room is left, for those who run it. */
export function Holdings({ query }: { query: ReturnType<typeof useSystem> }) {
  const system = query.data?.value;
  return (
    <Section title="Store and load">
      {query.isPending && <SkeletonRows rows={3} />}
      {query.isError && !system && (
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      )}
      {system && (
        <div className={classes.facts}>
          <Properties items={factsOf(system)} />
        </div>
      )}
    </Section>
  );
}

function factsOf(system: Schemas["System"]) {
  const { store, log, streams, disk, memory_bytes, executions, started_at } = system;
  return [
    { name: "Runs since", value: <Time at={started_at} /> },
    { name: "Uptime", value: <Duration ms={null} since={started_at} /> },
    { name: "Store", value: `${engineName(store.engine)}, schema ${store.schema}` },
    { name: "Size of the store", value: formatBytes(store.size_bytes) },
    { name: "Disk of the data directory", value: <Disk disk={disk} /> },
    {
      name: "Memory of the server",
      value: memory_bytes === null ? "–" : formatBytes(memory_bytes),
    },
    {
      name: "Last event",
      value: log.recorded_at === null ? "–" : <Time at={log.recorded_at} />,
    },
    { name: "Events a second, last minute", value: log.events_per_second.toFixed(1) },
    { name: "Open streams", value: formatCount(streams.open) },
    { name: "Streams ended as too slow", value: formatCount(streams.slow_resets_total) },
    {
      name: "Running",
      value: (
        <Link to="/executions" search={{ status: "running" }}>
          {formatCount(executions.running)}
        </Link>
      ),
    },
    {
      name: "Queued",
      value: (
        <Link to="/executions" search={{ status: "pending" }}>
          {formatCount(executions.queued)}
        </Link>
      ),
    },
  ];
}

function engineName(engine: string): string {
  const names: Readonly<Record<string, string>> = { sqlite: "SQLite", postgres: "Postgres" };
  return names[engine] ?? engine;
}

function Disk({ disk }: { disk: Schemas["DiskOfSystem"] }) {
  const { data_dir_free_bytes: free, data_dir_total_bytes: total } = disk;
  if (free === null || total === null) return "–";
  const isLow = free < total * FREE_SHARE_MIN;
  return (
    <span data-low={isLow || undefined} className={classes.disk}>
      {formatBytes(free)} of {formatBytes(total)} free{isLow && ": make room"}
    </span>
  );
}
