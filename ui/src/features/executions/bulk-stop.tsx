import { Button, Group, Modal } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { api, type Schemas, send } from "@/api/client";
import { ErrorState } from "@/components/error-state";
import { SkeletonRows } from "@/components/skeleton-rows";
import { EXECUTION_STATUS_LOOK } from "@/components/status";
import { StatusBadge } from "@/components/status-badge";
import { formatCount } from "@/lib/format";
import { firstLine, plainText } from "@/lib/plain-text";
import { type BulkTarget, outcomeText, previewOf } from "./bulk";
import classes from "./executions.module.css";

interface BulkStopProps {
  target: BulkTarget;
  onClose: () => void;
}

/** Ends many executions in two steps: what the server shows first is what it ends then. */
export function BulkStop({ target, onClose }: BulkStopProps) {
  const preview = useQuery({
    queryKey: ["executions", "bulk", target],
    queryFn: () =>
      send(api.POST("/api/executions/bulk/preview", { body: previewOf(target, Date.now()) })),
    // A selection is good for once, and for what was there when it was made.
    gcTime: 0,
    staleTime: 0,
    retry: false,
  });
  const commit = useMutation({
    mutationFn: (selection_id: string) =>
      send(
        api.POST("/api/executions/bulk/{selection_id}/commit", {
          params: { path: { selection_id } },
        }),
      ),
  });
  const again = () => {
    commit.reset();
    void preview.refetch();
  };
  return (
    <Modal opened onClose={onClose} title="Stop executions" size="lg">
      {commit.data ? (
        <Done outcome={commit.data} onClose={onClose} />
      ) : commit.isError ? (
        <ErrorState error={commit.error} onRetry={again} />
      ) : preview.isError ? (
        <ErrorState error={preview.error} onRetry={() => void preview.refetch()} />
      ) : preview.data ? (
        <Preview
          selected={preview.data}
          isPending={commit.isPending}
          onConfirm={() => commit.mutate(preview.data.selection_id)}
          onClose={onClose}
        />
      ) : (
        <SkeletonRows rows={4} height={36} />
      )}
    </Modal>
  );
}

interface PreviewProps {
  selected: Schemas["Selected"];
  isPending: boolean;
  onConfirm: () => void;
  onClose: () => void;
}

function Preview({ selected, isPending, onConfirm, onClose }: PreviewProps) {
  const { count, sample, agents, is_cut } = selected;
  if (count === 0) {
    return (
      <>
        <p>None of them runs or waits, or you may not stop those that do.</p>
        <Group justify="flex-end" mt="md">
          <Button variant="default" onClick={onClose}>
            Close
          </Button>
        </Group>
      </>
    );
  }
  const names = Object.entries(agents).map(([name, own]) => `${plainText(name)} (${own})`);
  return (
    <>
      <p>
        <strong>{formatCount(count)}</strong> {count === 1 ? "execution" : "executions"} of{" "}
        {names.slice(0, 8).join(", ")}
        {names.length > 8 && ` and ${names.length - 8} more agents`}. Those that run get SIGINT and
        some time to end; those that wait are cancelled.
      </p>
      {is_cut && <p>There are more: these are as many as can be stopped at once.</p>}
      <ul className={classes.sample}>
        {sample.map(({ id, agent_name, status, message }) => (
          <li key={id}>
            <StatusBadge look={EXECUTION_STATUS_LOOK[status]} />
            <span className={classes.agent}>{plainText(agent_name)}</span>
            <bdi>{firstLine(message)}</bdi>
          </li>
        ))}
      </ul>
      {count > sample.length && <p>and {formatCount(count - sample.length)} more</p>}
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={onClose} data-autofocus>
          Let them run
        </Button>
        <Button color="danger" loading={isPending} onClick={onConfirm}>
          Stop {formatCount(count)}
        </Button>
      </Group>
    </>
  );
}

function Done({ outcome, onClose }: { outcome: Schemas["Committed"]; onClose: () => void }) {
  const failed = outcome.results.filter(({ status }) => status === "failed").slice(0, 10);
  return (
    <>
      <p role="status">{outcomeText(outcome.counts)}</p>
      {failed.length > 0 && (
        <ul className={classes.sample}>
          {failed.map(({ id, error }) => (
            <li key={id}>
              <code>…{id.slice(-8)}</code> <span>{plainText(error ?? "")}</span>
            </li>
          ))}
        </ul>
      )}
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={onClose} data-autofocus>
          Close
        </Button>
      </Group>
    </>
  );
}
