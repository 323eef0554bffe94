import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, type Loaded, load, send } from "@/api/client";
import { keys } from "@/api/keys";
import type { CredentialsStatus } from "./credentials";

/** Which credentials an agent has, by name. */
export function credentialsQuery(name: string, floor: number) {
  return queryOptions({
    queryKey: keys.agents.credentials(name),
    queryFn: ({ signal }) => {
      const params = { path: { name }, query: { min_position: floor } };
      return load(api.GET("/api/agents/{name}/credentials/status", { params, signal }));
    },
  });
}

/** What can be done with the credentials of an agent; values leave the page and never come back. */
export type CredentialsChange =
  | { readonly set: string; readonly value: string }
  | { readonly remove: string }
  | { readonly lines: string }
  | "give-again";

/** Changes the credentials of an agent; the answer says which it then has. */
export function useCredentialsChange(name: string, onDone: (status: CredentialsStatus) => void) {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: (change: CredentialsChange) => send(request(name, change)),
    onSuccess: (status) => {
      const answer: Loaded<CredentialsStatus> = {
        value: status,
        position: status.position,
        next: null,
      };
      cache.setQueryData(keys.agents.credentials(name), answer);
      onDone(status);
    },
    // What was written into the form is not kept beside it.
    gcTime: 0,
  });
}

function request(name: string, change: CredentialsChange) {
  const path = { name };
  if (change === "give-again") {
    return api.POST("/api/agents/{name}/credentials/reload", { params: { path } });
  }
  if ("lines" in change) {
    const body = { credentials_text: change.lines };
    return api.POST("/api/agents/{name}/credentials/hot-reload", { params: { path }, body });
  }
  const params = { path: { name, key: "set" in change ? change.set : change.remove } };
  return "set" in change
    ? api.PUT("/api/agents/{name}/credentials/{key}", { params, body: { value: change.value } })
    : api.DELETE("/api/agents/{name}/credentials/{key}", { params });
}
