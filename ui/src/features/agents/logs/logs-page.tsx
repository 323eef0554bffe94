import { Button } from "@mantine/core";
import { IconRefresh } from "@tabler/icons-react";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";
import { EmptyState } from "@/components/empty-state";
import { ErrorState } from "@/components/error-state";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { plainText } from "@/lib/plain-text";
import { useAgent } from "../use-agent";
import classes from "./logs.module.css";

/** How many of the last lines are shown. */
const TAIL_LINES = 200;

function logsQuery(name: string) {
  return queryOptions({
    queryKey: keys.agents.logs(name),
    queryFn: ({ signal }) => {
      const params = { path: { name }, query: { tail: TAIL_LINES } };
      return load(api.GET("/api/agents/{name}/logs", { params, signal }));
    },
  });
}

/** What the agent's server and its own script said; what its runs say is at each of them. */
export function LogsPage() {
  const { name } = useAgent();
  const query = useQuery(logsQuery(name));
  const refresh = (
    <Button
      variant="subtle"
      size="xs"
      leftSection={<IconRefresh size={14} aria-hidden />}
      loading={query.isFetching}
      onClick={() => void query.refetch()}
    >
      Refresh
    </Button>
  );
  if (query.isPending) return <SkeletonRows />;
  if (query.isError) {
    return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  }
  const { logs, startup } = query.data.value;
  return (
    <div className={classes.page}>
      {startup !== null && (
        <Section title="startup.sh, at the last start">
          <Text label="Output of startup.sh" text={startup} />
        </Section>
      )}
      <Section title={`Agent server, the last ${TAIL_LINES} lines`} actions={refresh}>
        {logs === "" ? (
          <EmptyState title="Nothing was said yet" command={`trinity agent logs ${name}`} />
        ) : (
          <Text label="Log of the agent server" text={logs} />
        )}
      </Section>
    </div>
  );
}

function Text({ label, text }: { label: string; text: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled by keys
    <section className={classes.text} aria-label={label} tabIndex={0}>
      <pre>{plainText(text)}</pre>
    </section>
  );
}
