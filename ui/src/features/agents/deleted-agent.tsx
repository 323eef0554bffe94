import { Link } from "@tanstack/react-router";
import { EmptyState } from "@/components/empty-state";
import { Time } from "@/components/time";
import { useActorText } from "@/features/auth/user-name";
import type { Deletion } from "./agent-state";
import { agentEventsLink } from "./links";

interface DeletedAgentProps {
  name: string;
  /** When and by whom; null when the server does not say, or there never was such an agent. */
  deletion: Deletion | null;
}

/** What is left of an agent that is gone: its history. */
export function DeletedAgent({ name, deletion }: DeletedAgentProps) {
  return (
    <>
      <title>{`${name} · Trinity`}</title>
      <EmptyState
        order={1}
        title={deletion ? `${name} was deleted` : `There is no agent “${name}”`}
        actions={
          <>
            <Link to="/agents">All agents</Link>
            <Link to="/executions" search={{ agent: name }}>
              Its executions
            </Link>
            <Link {...agentEventsLink(name)}>See Events</Link>
          </>
        }
      >
        {deletion ? (
          <>
            Deleted
            {deletion.at !== null && (
              <>
                {" "}
                <Time at={deletion.at} />
              </>
            )}
            {deletion.by !== null && <By actor={deletion.by} />}. What it ran and every event of it
            are kept.
          </>
        ) : (
          "It may have been deleted, or it is not shared with you."
        )}
      </EmptyState>
    </>
  );
}

function By({ actor }: { actor: string }) {
  return <> by {useActorText(actor)}</>;
}
