import { queryOptions, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, load } from "@/api/client";
import { keys } from "@/api/keys";
import { ErrorState } from "@/components/error-state";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { plainText } from "@/lib/plain-text";
import { useLiveHub } from "@/live/context";
import type { LogEvent } from "@/live/event";
import { useLiveRefresh } from "@/live/hooks";
import { useAgent } from "../../use-agent";
import { LookingOnly } from "../owners-only";
import classes from "../settings.module.css";
import { McpEditor } from "./mcp-editor";
import { serverLine } from "./mcp-text";

function serversQuery(name: string, floor: number) {
  return queryOptions({
    queryKey: keys.agents.mcpServers(name),
    queryFn: ({ signal }) => {
      const params = { path: { name }, query: { min_position: floor } };
      return load(api.GET("/api/agents/{name}/mcp-servers", { params, signal }));
    },
  });
}

const CONCERNS = new Set(["McpServersChanged", "CredentialsChanged"]);

/** The MCP servers that the runs of an agent have. */
export function McpPage() {
  const agent = useAgent();
  const { name } = agent;
  const hub = useLiveHub();
  const options = serversQuery(name, hub.recent.floor);
  const query = useQuery(options);
  useLiveRefresh(
    options.queryKey,
    query.data,
    ({ type, stream_id }: LogEvent) => stream_id === name && CONCERNS.has(type),
  );
  const found = query.data?.value;
  if (query.isPending) return <SkeletonRows rows={4} height={52} />;
  if (!found) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  const servers = Object.entries(found.mcp_servers);
  return (
    <>
      {!agent.can_share && <LookingOnly />}
      <Section title="MCP servers">
        {found.missing.length > 0 && (
          <p className={classes.hint} role="alert">
            <span className={classes.wrong}>Runs cannot start without </span>
            <strong>{found.missing.join(", ")}</strong>. Set it under{" "}
            <Link to="/agents/$name/settings/credentials" params={{ name }}>
              Credentials
            </Link>
            .
          </p>
        )}
        {servers.length === 0 ? (
          <p className={classes.hint}>
            It has none. Those that are set here are started with each run, or reached by it, and no
            others.
          </p>
        ) : (
          <ul className={classes.rows}>
            {servers.map(([server, how]) => (
              <li key={server} className={classes.row}>
                <div className={classes.subject}>
                  <bdi>{plainText(server)}</bdi>
                  <p>
                    <code>{plainText(serverLine(how))}</code>
                  </p>
                </div>
              </li>
            ))}
          </ul>
        )}
      </Section>
      {agent.can_share && (
        <Section title="Configuration">
          <McpEditor agent={agent} servers={found.mcp_servers} />
        </Section>
      )}
    </>
  );
}
