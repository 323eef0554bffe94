import {
  IconAlertOctagon,
  IconCircleCheck,
  IconCircleDashed,
  IconPlayerPause,
} from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import type { StatusLook } from "@/components/status";
import type { AgentDetail } from "../../fold";

/** Which credentials there are, and which the agent has. */
export type CredentialsStatus = Schemas["CredentialsStatus"];

type Credential = Schemas["Credential"];

const IN_FORCE: StatusLook = { word: "In force", tone: "success", icon: IconCircleCheck };
const PENDING: StatusLook = { word: "Not given yet", tone: "attention", icon: IconCircleDashed };
const AT_START: StatusLook = { word: "At its next start", tone: "neutral", icon: IconPlayerPause };
const REFUSED: StatusLook = { word: "Not given", tone: "danger", icon: IconAlertOctagon };

/** Whether an agent has a credential as it is stored, or what stands between. */
export function credentialLook(
  credential: Credential,
  status: CredentialsStatus,
  phase: AgentDetail["phase"],
): StatusLook {
  if (phase !== "running") return AT_START;
  if (status.in_force || wasGiven(credential, status)) return IN_FORCE;
  return status.error == null ? PENDING : REFUSED;
}

/** Whether it was among what was given last, and was not set since. */
function wasGiven({ name, updated_at }: Credential, status: CredentialsStatus): boolean {
  const { injected, injected_at } = status;
  return injected_at != null && injected.includes(name) && updated_at <= injected_at;
}

/** What becomes of a credential of that name. */
export function kindOf(name: string): "variable" | "file" {
  return /[./]/.test(name) ? "file" : "variable";
}

/** A credential that is wanted and not there, with what it is for. */
export interface Wanted {
  readonly name: string;
  readonly purpose: string;
}

/** What a template wants of credentials that are not set yet. */
export function missing(
  wanted: Readonly<Record<string, string>>,
  status: Pick<CredentialsStatus, "credentials">,
): Wanted[] {
  const there = new Set(status.credentials.map(({ name }) => name));
  return Object.entries(wanted)
    .filter(([name]) => !there.has(name))
    .map(([name, purpose]) => ({ name, purpose }));
}
