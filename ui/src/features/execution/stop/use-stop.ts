import { useMutation } from "@tanstack/react-query";
import { api, send } from "@/api/client";
import { notifyError } from "@/components/notify";
import type { Execution } from "@/features/executions/fold";

/** Ends an execution: by SIGINT and a grace, or at once with `force`. What comes of it, events tell. */
export function useStop({ agent_name, id }: Pick<Execution, "agent_name" | "id">) {
  return useMutation({
    mutationFn: ({ force }: { force: boolean }) =>
      send(
        api.POST("/api/agents/{name}/executions/{id}/terminate", {
          params: { path: { name: agent_name, id }, query: { force } },
        }),
      ),
    onError: (error) => notifyError("Not stopped", error),
  });
}
