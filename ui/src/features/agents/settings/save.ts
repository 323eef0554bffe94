import { api, send } from "@/api/client";
import type { AgentDetail } from "../fold";

/** The parameters of a request that changes an agent if it still is of that version. */
export function ifStill(agent: AgentDetail, version: string) {
  return { path: { name: agent.name }, header: { "If-Match": version } };
}

/** Sets both limits at once, one of which may be what it was. */
export function saveResources(
  agent: AgentDetail,
  change: Partial<AgentDetail["resources"]>,
  version: string,
) {
  const { cpu = null, memory = null } = { ...agent.resources, ...change };
  const params = ifStill(agent, version);
  return send(api.PUT("/api/agents/{name}/resources", { params, body: { cpu, memory } }));
}
