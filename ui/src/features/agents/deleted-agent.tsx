import { Link } from "@tanstack/react-router";
import { EmptyState } from "@/components/empty-state";
import { Time } from "@/components/time";
import { useSession } from "@/features/auth/session";
import type { Deletion } from "./agent-state";
import { agentEventsLink } from "./links";

interface DeletedAgentProps {
  name: string;
  /** When and by whom; null when the server does not say, or there never was such an agent. */
  deletion: Deletion | null;
}

/** What is left of an agent that is gone: its history. */
export function DeletedAgent({ name, deletion }: DeletedAgentProps) {
  const by = useActorText(deletion?.by ?? null);
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
            {by !== null && ` by ${by}`}. What it ran and every event of it are kept.
          </>
        ) : (
          "It may have been deleted, or it is not shared with you."
        )}
      </EmptyState>
    </>
  );
}

/** Who did something, as far as this page knows their name. */
function useActorText(actor: string | null): string | null {
  const { id, username } = useSession().value;
  if (actor === null) return null;
  return id && actor === `user:${id}` ? username : actor.replace(/^(user|agent):/, "$1 ");
}
