import type { Agent, AgentDetail } from "@/features/agents/fold";
import { event } from "./events";

/** A running agent, the rest of it as far as a test says. */
export function agent(rest: Partial<Agent> = {}): Agent {
  return {
    autonomy: false,
    avatar_sha256: null,
    container_id: "host-1",
    created: "2026-11-21T09:00:00.000Z",
    execution_timeout_seconds: 900,
    failure: null,
    incarnation: "life",
    is_owner: true,
    is_shared: false,
    is_system: false,
    isolation: "uid",
    landlock_abi: null,
    max_parallel_tasks: 3,
    model: null,
    name: "scout",
    node_id: null,
    owner: "admin",
    owner_id: "user",
    phase: "running",
    position: 1,
    resources: { cpu: null, memory: null },
    run_uid: 1000,
    runtime: "demo",
    slots: { active: 0, max: 3, queued: 0 },
    status: "running",
    tags: [],
    template: null,
    type: "general",
    version: 1,
    ...rest,
  };
}

/** The same with everything that its page shows. */
export function detail(rest: Partial<AgentDetail> = {}): AgentDetail {
  return {
    ...agent(),
    base_image: null,
    can_delete: true,
    can_share: true,
    credentials: [],
    custom_instructions: null,
    folders: { consume_enabled: false, expose_enabled: false },
    full_capabilities: false,
    restart_needed: false,
    git_sync: null,
    github_repo: null,
    mcp_servers: [],
    read_only: { allowed_patterns: [], blocked_patterns: [], enabled: false },
    shares: [],
    skills: [],
    tools: [],
    ...rest,
  };
}

/** An event of an agent. */
export function ofAgent(position: number, type: string, name = "scout", data = {}) {
  return event(position, type, { stream_type: "agent", stream_id: name, version: position, data });
}

/** An event of the slots of a life. */
export function ofSlots(position: number, type: string, life = "life", data = {}) {
  return event(position, type, {
    stream_type: "slots",
    stream_id: life,
    data: { execution_id: "run", ...data },
  });
}
