import { useMutation } from "@tanstack/react-query";
import { api, send } from "@/api/client";
import { ConfirmByName } from "@/components/confirm-by-name";
import { FormError } from "@/components/form-error";
import classes from "./delete-agent.module.css";
import type { Agent } from "./fold";

interface DeleteAgentProps {
  agent: Agent;
  onClose: () => void;
}

/** Deletes an agent once its name was typed; says first what goes with it and what stays. */
export function DeleteAgent({ agent, onClose }: DeleteAgentProps) {
  const { name, slots } = agent;
  const remove = useMutation({
    mutationFn: () => {
      const params = { path: { name }, query: { wait_ms: 0 } };
      return send(api.DELETE("/api/agents/{name}", { params }));
    },
    // That it is gone is told by the log.
    onSuccess: onClose,
  });
  return (
    <ConfirmByName
      title={`Delete ${name}`}
      name={name}
      action="Delete"
      isOpen
      isPending={remove.isPending}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    >
      <div className={classes.text}>
        <p>This is gone for good:</p>
        <ul className={classes.list}>
          <li>its workspace, with every file in it</li>
          <li>its settings, shares, permissions and API keys</li>
          {slots.active > 0 && <li>what runs now: {runs(slots.active)} ended</li>}
          {slots.queued > 0 && <li>what waits: {runs(slots.queued)} cancelled</li>}
        </ul>
        <p>This stays:</p>
        <ul className={classes.list}>
          <li>its executions and their transcripts</li>
          <li>every event of it in the log</li>
        </ul>
        <FormError error={remove.error} />
      </div>
    </ConfirmByName>
  );
}

function runs(count: number): string {
  return count === 1 ? "1 run is" : `${count} runs are`;
}
