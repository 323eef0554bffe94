import { expect, it } from "vitest";
import { ApiError } from "@/api/problem";
import { detail, ofAgent, ofSlots } from "@/test/agents";
import { agentPageOf, applyToAgent, deletionOf } from "./agent-state";

const state = () => agentPageOf(detail());

it("goes through the life of an agent by its events", () => {
  const life = [
    ofAgent(2, "AgentStopRequested"),
    ofAgent(3, "AgentStopped"),
    ofAgent(4, "AgentStartRequested"),
    ofAgent(5, "AgentStartFailed", "scout", { step: "health", error: "no answer" }),
    ofAgent(6, "AgentStartRequested"),
    ofAgent(7, "AgentStarted", "scout", { host_ref: "host-2" }),
  ];
  const phases = life.map((_, index) => applyToAgent(state(), life.slice(0, index + 1)).agent);
  expect(phases.map(({ phase }) => phase)).toEqual([
    "stopping",
    "stopped",
    "starting",
    "failed",
    "starting",
    "running",
  ]);
  expect(phases[3]?.failure).toEqual({ step: "health", error: "no answer" });
  expect(phases[4]?.failure).toBeNull();
  expect(phases[5]).toMatchObject({ container_id: "host-2", version: 7 });
});

it("begins again at the workspace when it was never provisioned", () => {
  const never = agentPageOf(detail({ phase: "failed", container_id: null }));
  expect(applyToAgent(never, [ofAgent(2, "AgentStartRequested")]).agent.phase).toBe("creating");
});

it("takes settings from their events", () => {
  const { agent } = applyToAgent(state(), [
    ofAgent(2, "CapacityChanged", "scout", { max_parallel_tasks: 8 }),
    ofSlots(3, "CapacitySet", "life", { max_parallel_tasks: 8 }),
    ofAgent(4, "ModelChanged", "scout", { model: "opus" }),
    ofAgent(5, "AutonomyChanged", "scout", { enabled: true }),
    ofAgent(6, "ExecutionTimeoutChanged", "scout", { seconds: 60 }),
    ofAgent(6, "ResourcesChanged", "scout", { cpu: "1.5", memory: null }),
    ofAgent(6, "GitSyncConfigured", "scout", { repository: "https://a.b/c.git", branch: "main" }),
    ofAgent(6, "ReadOnlyChanged", "scout", {
      enabled: true,
      blocked_patterns: [],
      allowed_patterns: ["out/"],
    }),
    ofAgent(6, "AvatarChanged", "scout", { sha256: "c0ffee" }),
    ofAgent(7, "ToolsChanged", "scout", { tools: ["Read"] }),
    ofAgent(8, "SkillsChanged", "scout", { names: ["brief"] }),
    ofAgent(9, "CredentialsChanged", "scout", { names: ["TOKEN"], changed: ["TOKEN"] }),
  ]);
  expect(agent).toMatchObject({
    max_parallel_tasks: 8,
    slots: { max: 8 },
    model: "opus",
    autonomy: true,
    execution_timeout_seconds: 60,
    resources: { cpu: "1.5", memory: null },
    git_sync: { repository: "https://a.b/c.git", branch: "main" },
    read_only: { enabled: true, allowed_patterns: ["out/"] },
    avatar_sha256: "c0ffee",
    tools: ["Read"],
    skills: ["brief"],
    credentials: ["TOKEN"],
    version: 9,
  });
  const connected = { ...state(), agent };
  const { agent: without } = applyToAgent(connected, [ofAgent(10, "GitSyncRemoved")]);
  expect(without.git_sync).toBeNull();
});

it("ends with who asked for the deletion, at the time it was done", () => {
  const asked = { ...ofAgent(2, "AgentDeleteRequested"), actor: "user:ana" };
  const going = applyToAgent(state(), [asked]);
  expect(going).toMatchObject({ deletion: null, agent: { phase: "deleting" } });
  const gone = ofAgent(3, "AgentDeleted");
  expect(applyToAgent(going, [gone]).deletion).toEqual({ at: gone.recorded_at, by: "user:ana" });
});

it("asks the server what events do not say", () => {
  expect(applyToAgent(state(), [ofAgent(2, "AgentShared")]).isStale).toBe(true);
  expect(applyToAgent(state(), [ofAgent(2, "CapabilitiesChanged")]).isStale).toBe(true);
  expect(applyToAgent(state(), [ofAgent(2, "AgentStarted")]).isStale).toBe(false);
  const changed = agentPageOf(detail({ restart_needed: true }));
  expect(applyToAgent(changed, [ofAgent(2, "AgentStarted")]).isStale).toBe(true);
});

it("stays the same object when nothing concerns it", () => {
  const before = state();
  expect(applyToAgent(before, [ofAgent(2, "AgentStopped", "another")])).toBe(before);
  expect(applyToAgent(before, [ofSlots(3, "SlotReleased", "earlier life")])).toBe(before);
});

it("reads from a 404 when an agent was deleted, where it says so", () => {
  const problem = (rest: object) =>
    ApiError.fromResponse(new Response(null, { status: 404 }), {
      status: 404,
      title: "Not found",
      detail: "there is no agent of this name",
      code: "not-found",
      request_id: "r",
      errors: [],
      ...rest,
    });
  const at = "2026-11-21T09:00:00.000Z";
  expect(deletionOf(problem({ deleted_at: at, deleted_by: "user:ana" }))).toEqual({
    at,
    by: "user:ana",
  });
  expect(deletionOf(problem({}))).toBeNull();
});
