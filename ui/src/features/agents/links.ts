import type { LinkProps } from "@tanstack/react-router";

/** The page of an agent. */
export function agentLink(name: string): LinkProps {
  return { to: "/agents/$name/overview", params: { name } };
}

/** The page of an execution. */
export function executionLink(id: string): LinkProps {
  return { to: "/executions/$id", params: { id } };
}

/** Everything that the log has of an agent. */
export function agentEventsLink(name: string): LinkProps {
  return { to: "/events", search: { stream: `agent:${name}` } };
}
