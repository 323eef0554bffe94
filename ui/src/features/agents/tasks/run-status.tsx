import { LiveBadge } from "@/components/live-badge";
import { executionLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import type { Execution } from "@/features/executions/fold";
import { executionLink } from "../links";

/** The status of a run; what runs undisturbed is live and leads to where one watches it. */
export function RunStatus({ execution }: { execution: Execution }) {
  const { id, status, cancel_phase, lost_contact_at } = execution;
  if (status === "running" && !cancel_phase && !lost_contact_at) {
    return <LiveBadge link={executionLink(id)} />;
  }
  return <StatusBadge look={executionLook(execution)} />;
}
