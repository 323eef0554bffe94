import type { AgentDetail } from "../fold";

/** The parts of the settings, in the order of their navigation. */
const SECTIONS = [
  { label: "General", to: "/agents/$name/settings", isOwners: false },
  { label: "Credentials", to: "/agents/$name/settings/credentials", isOwners: false },
  { label: "Skills", to: "/agents/$name/settings/skills", isOwners: false },
  { label: "MCP servers", to: "/agents/$name/settings/mcp-servers", isOwners: false },
  { label: "Git", to: "/agents/$name/settings/git", isOwners: false },
  { label: "Read-only", to: "/agents/$name/settings/read-only", isOwners: false },
  { label: "Container", to: "/agents/$name/settings/container", isOwners: false },
  { label: "Sharing", to: "/agents/$name/settings/sharing", isOwners: true },
] as const;

/** The parts that whoever looks at an agent may see. */
export function sectionsFor({ can_share }: Pick<AgentDetail, "can_share">) {
  return SECTIONS.filter(({ isOwners }) => can_share || !isOwners);
}
