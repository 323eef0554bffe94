import { IconAlertTriangle, IconCircleCheck } from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import type { StatusLook } from "@/components/status";

/** Whether the running agent is held to its read-only mode, in words. */
export function enforcement({
  enforced,
  restart_needed,
}: Pick<Schemas["AgentReadOnly"], "enforced" | "restart_needed">): string {
  if (enforced === true) return "Every run is held to it by the kernel, its shell too.";
  if (restart_needed) return "Runs do not start until the agent is started again.";
  return enforced === null
    ? "What sees to it is known while the agent runs."
    : "Where this agent lives nothing can see to it, so its runs do not start.";
}

/** Whether a pattern holds against a shell too. */
export function patternLook({ enforced, kind }: Schemas["ReadOnlyPattern"]): StatusLook {
  if (enforced) return { word: "Enforced", tone: "success", icon: IconCircleCheck };
  // What is finer than a folder is told to the CLI alone.
  const word = kind === "allowed" ? "Stays read-only" : "Told to the CLI alone";
  return { word, tone: "attention", icon: IconAlertTriangle };
}
