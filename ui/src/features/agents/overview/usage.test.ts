import { expect, it } from "vitest";
import type { Schemas } from "@/api/client";
import { usageText } from "./usage";

const STATS: Schemas["AgentUsage"] = {
  agent_name: "scout",
  measured_at: "2026-01-02T03:04:05Z",
  cpu_percent: 12.5,
  cpu_percent_max: null,
  memory_bytes: 3_100_000,
  memory_bytes_max: null,
  processes: 2,
  position: 1,
};

it("says what is used, and of how much where there is a limit", () => {
  expect(usageText(STATS)).toBe("12.5 % CPU, 3.1 MB memory");
  const held = { ...STATS, cpu_percent_max: 200, memory_bytes_max: 4_000_000_000 };
  expect(usageText(held)).toBe("12.5 % of 200 % CPU, 3.1 MB of 4.0 GB memory");
});
