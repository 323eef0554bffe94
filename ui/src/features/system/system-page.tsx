import { IconAlertTriangle, IconCircleCheck } from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import { ErrorState } from "@/components/error-state";
import { PageHeader } from "@/components/page-header";
import { SkeletonRows } from "@/components/skeleton-rows";
import type { StatusLook } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { useSession } from "@/features/auth/session";
import { Holdings } from "./holdings";
import { Isolation } from "./isolation";
import { useHealth, useSystem } from "./queries";
import { ReadModels } from "./read-models";
import { ServerFacts } from "./server-facts";
import classes from "./system.module.css";

const LOOK: Record<Schemas["Health"]["status"], StatusLook> = {
  healthy: { word: "Healthy", tone: "success", icon: IconCircleCheck },
  degraded: { word: "Degraded", tone: "attention", icon: IconAlertTriangle },
};

/** How the server is: what it is, what it reads the log into, what keeps agents apart. */
export function SystemPage() {
  const query = useHealth();
  const isAdmin = useSession().value.role === "admin";
  const health = query.data?.value;
  const system = useSystem(isAdmin);
  return (
    <>
      <PageHeader title="System" aside={health && <StatusBadge look={LOOK[health.status]} />} />
      {query.isPending && <SkeletonRows rows={6} />}
      {query.isError && !health && (
        <ErrorState error={query.error} onRetry={() => void query.refetch()} />
      )}
      {health && (
        <div className={classes.page}>
          <ServerFacts health={health} />
          {isAdmin && <Holdings query={system} />}
          <ReadModels health={health} isAdmin={isAdmin} />
          <Isolation isolation={health.isolation} />
        </div>
      )}
    </>
  );
}
