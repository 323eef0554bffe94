import { UnstyledButton } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, load, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { Time } from "@/components/time";
import { formatBytes } from "@/lib/format";
import classes from "./overview.module.css";

/** The server measures every two seconds at most. */
const FRESH_MS = 2_000;

function statsQuery(name: string) {
  return queryOptions({
    queryKey: keys.agents.stats(name),
    queryFn: ({ signal }) =>
      load(api.GET("/api/agents/{name}/stats", { params: { path: { name } }, signal })),
    staleTime: FRESH_MS,
    retry: false,
  });
}

/** What an agent that runs uses, as words. */
export function usageText(stats: Schemas["AgentUsage"]): string {
  const cpuMax = stats.cpu_percent_max === null ? "" : ` of ${stats.cpu_percent_max} %`;
  const max = stats.memory_bytes_max;
  const memoryMax = max === null ? "" : ` of ${formatBytes(max)}`;
  return `${stats.cpu_percent} %${cpuMax} CPU, ${formatBytes(stats.memory_bytes)}${memoryMax} memory`;
}

/** How much processor time and memory an agent uses that runs, when it was last measured. */
export function Usage({ name }: { name: string }) {
  const query = useQuery(statsQuery(name));
  const again = (
    <UnstyledButton
      className={classes.again}
      disabled={query.isFetching}
      onClick={() => void query.refetch()}
    >
      Measure again
    </UnstyledButton>
  );
  if (query.isPending) return <>…</>;
  if (query.isError)
    return (
      <>
        not known: {query.error.message} {again}
      </>
    );
  const stats = query.data.value;
  return (
    <>
      {usageText(stats)}, <Time at={stats.measured_at} format="age" /> {again}
    </>
  );
}
