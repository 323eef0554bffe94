import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { api, type Schemas, send } from "@/api/client";
import { notifyDone, notifyError } from "@/components/notify";
import type { Execution } from "./fold";

type Repeated = Pick<Execution, "id" | "agent_name">;

/** Submits tasks once more, one after another; a single one is then shown. */
export function useRerun() {
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async (executions: readonly Repeated[]) => {
      const taken: Schemas["Taken"][] = [];
      for (const execution of executions) taken.push(await rerun(execution));
      return taken;
    },
    onSuccess: (taken) => {
      const [first] = taken;
      if (taken.length === 1 && first) {
        void navigate({ to: "/executions/$id", params: { id: first.execution_id } });
        return;
      }
      notifyDone(`${taken.length} tasks are submitted once more`);
    },
    onError: (error) => notifyError("Not run again", error),
  });
}

function rerun({ id, agent_name: name }: Repeated) {
  // A request that is repeated by the network is still one run.
  const header = { "Idempotency-Key": crypto.randomUUID() };
  return send(
    api.POST("/api/agents/{name}/executions/{id}/rerun", {
      params: { path: { name, id }, header },
    }),
  );
}
