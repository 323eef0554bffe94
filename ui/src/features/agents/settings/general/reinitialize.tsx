import { useMutation } from "@tanstack/react-query";
import { api, send } from "@/api/client";
import { ConfirmByName } from "@/components/confirm-by-name";
import { FormError } from "@/components/form-error";
import { notifyDone } from "@/components/notify";
import type { AgentDetail } from "../../fold";

interface ReinitializeProps {
  agent: AgentDetail;
  onClose: () => void;
}

/** Builds a system agent anew once its name was typed. */
export function Reinitialize({ agent, onClose }: ReinitializeProps) {
  const { name } = agent;
  const rebuild = useMutation({
    mutationFn: () => {
      const params = { path: { name }, query: { wait_ms: 0 } };
      return send(api.POST("/api/agents/{name}/reinitialize", { params }));
    },
    onSuccess: () => {
      notifyDone(`${name} is built anew`);
      onClose();
    },
  });
  return (
    <ConfirmByName
      title={`Reinitialize ${name}`}
      name={name}
      action="Reinitialize"
      isOpen
      isPending={rebuild.isPending}
      onConfirm={() => rebuild.mutate()}
      onClose={onClose}
    >
      <p>
        What runs on it is cancelled, and every file of its workspace is gone for good. Its
        settings, permissions, keys and credentials stay, and what waits goes on afterwards.
      </p>
      <FormError error={rebuild.error} />
    </ConfirmByName>
  );
}
