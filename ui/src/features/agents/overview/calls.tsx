import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schemas } from "@/api/client";
import { ErrorState } from "@/components/error-state";
import { SkeletonRows } from "@/components/skeleton-rows";
import { useLiveHub } from "@/live/context";
import type { LogEvent } from "@/live/event";
import { useLiveRefresh } from "@/live/hooks";
import { agentLink } from "../links";
import { permissionsQuery } from "../queries";
import classes from "./overview.module.css";

const CONCERNS = new Set(["PermissionGranted", "PermissionRevoked", "AgentDeleted"]);

const concerns = ({ type }: LogEvent) => CONCERNS.has(type);

/** Who may call an agent, and whom it may call. */
export function Calls({ name }: { name: string }) {
  const hub = useLiveHub();
  const options = permissionsQuery(name, hub.recent.floor);
  const query = useQuery(options);
  useLiveRefresh(options.queryKey, query.data, concerns);
  const found = query.data?.value;
  if (query.isPending) return <SkeletonRows rows={2} height={40} />;
  if (!found) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  return (
    <div className={classes.calls}>
      <Peers
        title="May call it"
        peers={found.callers}
        none="No agent can call this one until somebody permits it."
      />
      <Peers
        title="It may call"
        peers={found.permitted_agents}
        none="It can call no other agent until somebody permits it."
      />
    </div>
  );
}

interface PeersProps {
  title: string;
  peers: readonly Schemas["Peer"][];
  none: string;
}

function Peers({ title, peers, none }: PeersProps) {
  return (
    <div>
      <h3>{title}</h3>
      {peers.length === 0 ? (
        <p className={classes.none}>{none}</p>
      ) : (
        <ul className={classes.peers}>
          {peers.map((peer) => (
            <li key={peer.name}>
              <Link {...agentLink(peer.name)}>{peer.name}</Link>
              {peer.status && <span className={classes.none}> {peer.status}</span>}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
