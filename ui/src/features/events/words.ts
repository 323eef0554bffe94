import {
  IconAlertOctagon,
  IconPlayerPlay,
  IconRobot,
  IconStack2,
  IconUser,
} from "@tabler/icons-react";
import type { Tone } from "@/components/status";
import type { LogEvent } from "@/live/event";

/** The kinds of events, each with the kind of stream that it belongs to. */
export const EVENT_TYPES = {
  agent: [
    "AgentCreated",
    "AgentProvisioned",
    "AgentProvisionFailed",
    "AgentStartRequested",
    "AgentStarted",
    "AgentStartFailed",
    "AgentStopRequested",
    "AgentStopped",
    "AgentStatusObserved",
    "AgentDeleteRequested",
    "AgentDeleted",
    "AgentReinitialized",
    "AgentShared",
    "AgentUnshared",
    "PermissionGranted",
    "PermissionRevoked",
    "AutonomyChanged",
    "ReadOnlyChanged",
    "ResourcesChanged",
    "CapacityChanged",
    "ExecutionTimeoutChanged",
    "ModelChanged",
    "CapabilitiesChanged",
    "InstructionsChanged",
    "ToolsChanged",
    "McpServersChanged",
    "SkillsChanged",
    "TagsChanged",
    "AvatarChanged",
    "CredentialsChanged",
    "CredentialsReloadRequested",
    "FoldersChanged",
    "GitSyncConfigured",
    "GitSyncRemoved",
  ],
  slots: [
    "CapacitySet",
    "AgentTimeoutSet",
    "ExecutionEnqueued",
    "SlotAcquired",
    "SlotReleased",
    "SlotExpired",
    "ExecutionDequeued",
    "AdmissionSuspended",
    "AdmissionResumed",
  ],
  execution: [
    "ExecutionRequested",
    "ExecutionStarted",
    "SessionBound",
    "ToolCallStarted",
    "ToolCallFinished",
    "CancelRequested",
    "InterruptSent",
    "KillSent",
    "ContactLost",
    "ContactRegained",
    "ExecutionCompleted",
    "ExecutionFailed",
    "ExecutionCancelled",
    "LateResultObserved",
    "TranscriptRemoved",
  ],
  account: [
    "UserCreated",
    "UserRoleChanged",
    "UserDeleted",
    "PasswordChanged",
    "ApiKeyCreated",
    "ApiKeyRevoked",
    "ApiKeyDeleted",
  ],
} as const;

const STREAM_ICON = {
  agent: IconRobot,
  slots: IconStack2,
  execution: IconPlayerPlay,
  account: IconUser,
} as const;

const FAILURES = new Set([
  "AgentProvisionFailed",
  "AgentStartFailed",
  "ExecutionFailed",
  "ContactLost",
  "SlotExpired",
]);

/** The shape that stands beside an event: that of its stream, or of a failure. */
export function eventLook({ type, stream_type }: Pick<LogEvent, "type" | "stream_type">): {
  readonly icon: typeof IconUser;
  readonly tone: Tone;
} {
  if (FAILURES.has(type)) return { icon: IconAlertOctagon, tone: "danger" };
  const known: Partial<Record<string, typeof IconUser>> = STREAM_ICON;
  return { icon: known[stream_type] ?? IconStack2, tone: "neutral" };
}

/** The beginning of an id, which tells it from others on a page. */
export function shortId(id: string): string {
  return /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id) ? id.slice(-12) : id;
}
