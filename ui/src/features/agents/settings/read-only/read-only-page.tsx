import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, load, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { ErrorState } from "@/components/error-state";
import { Section } from "@/components/section";
import { SkeletonRows } from "@/components/skeleton-rows";
import { StatusBadge } from "@/components/status-badge";
import { plainText } from "@/lib/plain-text";
import { useLiveHub } from "@/live/context";
import { useLiveRefresh } from "@/live/hooks";
import type { AgentDetail } from "../../fold";
import { useAgent } from "../../use-agent";
import { OwnersOnly } from "../owners-only";
import { SettingForm } from "../setting-form";
import classes from "../settings.module.css";
import { enforcement, patternLook } from "./enforcement";
import { READ_ONLY, WHERE_NOT } from "./settings";

function readOnlyQuery(name: string, floor: number) {
  return queryOptions({
    queryKey: keys.agents.readOnly(name),
    queryFn: ({ signal }) => {
      const params = { path: { name }, query: { min_position: floor } };
      return load(api.GET("/api/agents/{name}/read-only", { params, signal }));
    },
  });
}

/** What of its workspace an agent may change, and what sees to that. */
export function ReadOnlyPage() {
  const agent = useAgent();
  return (
    <>
      <OwnersOnly agent={agent}>
        <Section title="Read-only mode">
          <SettingForm agent={agent} setting={READ_ONLY} />
          {WHERE_NOT.map((setting) => (
            <SettingForm key={setting.label} agent={agent} setting={setting} />
          ))}
        </Section>
      </OwnersOnly>
      {agent.read_only.enabled && <Enforcement agent={agent} />}
    </>
  );
}

function Enforcement({ agent }: { agent: AgentDetail }) {
  const { name } = agent;
  const hub = useLiveHub();
  const options = readOnlyQuery(name, hub.recent.floor);
  const query = useQuery(options);
  useLiveRefresh(
    options.queryKey,
    query.data,
    ({ stream_type, stream_id }) => stream_type === "agent" && stream_id === name,
  );
  const found = query.data?.value;
  return (
    <Section title="What sees to it">
      {query.isPending ? (
        <SkeletonRows rows={2} height={44} />
      ) : found ? (
        <>
          <p className={classes.hint}>{enforcement(found)}</p>
          {found.patterns.length > 0 && <Patterns patterns={found.patterns} />}
        </>
      ) : (
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      )}
    </Section>
  );
}

function Patterns({ patterns }: { patterns: readonly Schemas["ReadOnlyPattern"][] }) {
  return (
    <ul className={classes.rows}>
      {patterns.map((pattern) => (
        <li key={`${pattern.kind} ${pattern.pattern}`} className={classes.row}>
          <div className={classes.subject}>
            <code>{plainText(pattern.pattern)}</code>
            <p>{pattern.kind === "allowed" ? "May be changed" : "May not be changed"}</p>
          </div>
          <span className={classes.state}>
            <StatusBadge look={patternLook(pattern)} />
          </span>
        </li>
      ))}
    </ul>
  );
}
