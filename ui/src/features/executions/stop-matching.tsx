import { Button } from "@mantine/core";
import { IconPlayerStop } from "@tabler/icons-react";
import { useState } from "react";
import { useActions } from "@/app/actions/use-actions";
import { alternatives } from "@/app/search-params";
import type { BulkTarget } from "./bulk";
import { BulkStop } from "./bulk-stop";
import type { ExecutionSearch } from "./search";

/** Ends whatever the filter finds that runs or waits, after showing what that is. */
export function StopMatching({ search }: { search: ExecutionSearch }) {
  // What is asked for stays what it was when it was asked for.
  const [target, setTarget] = useState<BulkTarget | null>(null);
  const statuses = alternatives(search.status);
  const canMatch =
    statuses.length === 0 || statuses.includes("pending") || statuses.includes("running");
  const ask = () => setTarget({ search });
  useActions(
    canMatch
      ? [{ id: "executions.stop", label: "Stop all that match", group: "Executions", run: ask }]
      : [],
  );
  return (
    <>
      {canMatch && (
        <Button
          variant="default"
          size="xs"
          leftSection={<IconPlayerStop size={14} aria-hidden />}
          onClick={ask}
        >
          Stop all
        </Button>
      )}
      {target && <BulkStop target={target} onClose={() => setTarget(null)} />}
    </>
  );
}
