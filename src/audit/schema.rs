//! What the JSON of every event must look like: a second writing down of the log's contract.

use chrono::DateTime;
use serde_json::{Map, Value};
use uuid::Uuid;

use Kind::{Count, Flag, Id, Name, Object, Text, Texts, Time, Whole, Word};

/// The longest agent name, in characters.
const NAME_LENGTH_MAX: usize = 63;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A UUID in its usual spelling.
    Id,
    /// The name of an agent.
    Name,
    Text,
    /// One of these.
    Word(&'static [&'static str]),
    Flag,
    /// A whole number from 0.
    Count,
    /// A whole number.
    Whole,
    /// A time as RFC 3339 has it.
    Time,
    /// A list of texts.
    Texts,
    /// An object with these fields.
    Object(Fields),
}

/// Names and kinds; a `?` after the name lets the field be absent or null.
pub(super) type Fields = &'static [(&'static str, Kind)];

const STEP: Kind = Word(&[
    "validate",
    "register",
    "template",
    "key",
    "configure",
    "volume",
    "container",
    "start",
    "repository",
    "startup",
    "credentials",
    "env-files",
    "health",
    "announce",
]);

const STEP_FAILURE: Fields = &[("step", STEP), ("error", Text)];
const RUNTIME: Kind = Word(&["claude-code", "gemini-cli", "demo"]);
const ROLE: Kind = Word(&["admin", "user"]);
const CANCEL: Kind = Word(&["requested", "queue-cleared", "agent-stopped", "agent-deleted"]);
const CLASS: Kind = Word(&[
    "timeout",
    "exit",
    "api",
    "budget",
    "max_turns",
    "spawn",
    "lost",
    "rejected",
    "agent_deleted",
]);

const READ_ONLY: Fields =
    &[("enabled", Flag), ("blocked_patterns?", Texts), ("allowed_patterns?", Texts)];
const RESOURCES: Fields = &[("cpu?", Text), ("memory?", Text)];
const CONFIG: Fields = &[
    ("name", Name),
    ("type", Text),
    ("runtime", RUNTIME),
    ("model?", Text),
    ("base_image?", Text),
    ("resources?", Object(RESOURCES)),
    ("tools?", Texts),
    ("mcp_servers?", Texts),
    ("template?", Text),
    ("github_repo?", Text),
    ("custom_instructions?", Text),
    ("autonomy?", Flag),
    ("read_only?", Object(READ_ONLY)),
    ("max_parallel_tasks", Count),
    ("execution_timeout_seconds", Count),
    ("full_capabilities?", Flag),
];
const REQUEST: Fields = &[
    ("agent", Name),
    ("incarnation", Id),
    ("triggered_by", Word(&["manual", "schedule", "mcp", "chat", "paid", "process"])),
    ("source", Word(&["user", "schedule", "agent"])),
    ("source_user?", Id),
    ("source_agent?", Name),
    ("message", Text),
    ("model?", Text),
    ("allowed_tools?", Texts),
    ("system_prompt?", Text),
    ("timeout_seconds?", Count),
    ("max_turns?", Count),
    ("resume_session_id?", Text),
    ("is_chat_turn?", Flag),
    ("parent_execution_id?", Id),
    ("schedule_id?", Id),
    ("chat_session_id?", Id),
    ("process_run_id?", Id),
    ("step_id?", Text),
    ("payment_id?", Text),
    ("tags?", Texts),
];
const USAGE: Fields = &[
    ("input_tokens", Count),
    ("output_tokens", Count),
    ("cache_read_tokens", Count),
    ("cache_creation_tokens", Count),
];
const OUTCOME: Fields = &[
    ("response?", Text),
    ("response_ref?", Text),
    ("cost_usd_micros?", Whole),
    ("usage?", Object(USAGE)),
    ("num_turns?", Count),
    ("context_used?", Count),
    ("context_max?", Count),
    ("model_used?", Text),
    ("tool_call_count?", Count),
    ("exit?", Object(&[("code?", Whole), ("signal?", Whole)])),
    ("ended_at?", Time),
    ("duration_ms?", Count),
];
const KEY: Fields = &[
    ("name", Text),
    ("description?", Text),
    ("owner", Id),
    ("scope", Word(&["user", "agent", "system"])),
    ("agent?", Name),
    ("incarnation?", Id),
    ("prefix", Text),
    ("sha256", Text),
    ("expires_at?", Time),
];

/// The fields of an event; none when no such event is known.
pub(super) fn fields(stream_type: &str, event_type: &str) -> Option<Fields> {
    match stream_type {
        "agent" => agent(event_type).or_else(|| agent_setting(event_type)),
        "slots" => slots(event_type),
        "execution" => execution(event_type),
        "account" => account(event_type),
        _ => None,
    }
}

fn agent(event_type: &str) -> Option<Fields> {
    Some(match event_type {
        "AgentCreated" => &[
            ("incarnation", Id),
            ("owner", Id),
            ("is_system", Flag),
            ("node_id?", Id),
            ("config", Object(CONFIG)),
            ("start", Flag),
        ],
        "AgentProvisioned" => &[("host_ref", Text)],
        "AgentProvisionFailed" | "AgentStartFailed" => STEP_FAILURE,
        "AgentStarted" => &[("host_ref", Text), ("config_hash", Text)],
        "AgentStopped" => &[
            ("reason", Word(&["requested", "crash-loop", "out-of-memory"])),
            ("exit_code?", Whole),
            ("failure?", Object(STEP_FAILURE)),
        ],
        "AgentStatusObserved" => &[
            ("status", Word(&["running", "paused", "restarting", "stopped"])),
            ("cause?", Word(&["out-of-memory"])),
            ("at", Time),
            ("failure?", Object(STEP_FAILURE)),
        ],
        "AgentStartRequested"
        | "AgentStopRequested"
        | "AgentPauseRequested"
        | "AgentDeleteRequested"
        | "AgentDeleted"
        | "AgentReinitialized" => &[],
        _ => return None,
    })
}

fn agent_setting(event_type: &str) -> Option<Fields> {
    Some(match event_type {
        "AutonomyChanged" => &[("enabled", Flag)],
        "ReadOnlyChanged" => READ_ONLY,
        "ResourcesChanged" => RESOURCES,
        "CapacityChanged" => &[("max_parallel_tasks", Count)],
        "ExecutionTimeoutChanged" => &[("seconds", Count)],
        "ModelChanged" => &[("model?", Text)],
        "CapabilitiesChanged" => &[("full_capabilities", Flag)],
        "InstructionsChanged" => &[("sha256", Text)],
        "ToolsChanged" => &[("tools", Texts)],
        "McpServersChanged" => &[("mcp_servers", Texts), ("servers?", Object(&[]))],
        "SkillsChanged" => &[("names", Texts)],
        "CredentialsChanged" => &[("names", Texts), ("changed?", Texts)],
        "CredentialsReloadRequested" | "GitSyncRemoved" => &[],
        "TagsChanged" => &[("tags", Texts)],
        "AvatarChanged" => &[("sha256?", Text)],
        "FoldersChanged" => &[("expose", Flag), ("consume", Flag)],
        "AgentShared" | "AgentUnshared" => &[("user", Id)],
        "GitSyncConfigured" => &[("repository", Text), ("branch", Text)],
        "PermissionGranted" => &[("callee", Name), ("callee_incarnation", Id)],
        "PermissionRevoked" => &[("callee", Name), ("reason", Word(&["requested", "replaced"]))],
        _ => return None,
    })
}

/// Whether the event is a setting of an agent.
pub(super) fn is_setting(event_type: &str) -> bool {
    agent_setting(event_type).is_some()
}

fn slots(event_type: &str) -> Option<Fields> {
    Some(match event_type {
        "CapacitySet" => &[("max_parallel_tasks", Count)],
        "AgentTimeoutSet" => &[("seconds", Count)],
        "ExecutionEnqueued" => &[
            ("execution_id", Id),
            ("is_chat_turn", Flag),
            ("timeout_seconds?", Count),
            ("queue_no", Count),
        ],
        "SlotAcquired" => &[
            ("execution_id", Id),
            ("slot", Count),
            ("epoch", Count),
            ("is_chat_turn?", Flag),
            ("timeout_seconds", Count),
            ("expires_at", Time),
        ],
        "SlotReleased" => &[
            ("execution_id", Id),
            ("slot", Count),
            ("reason", Word(&["exited", "never-started", "rejected", "lost"])),
        ],
        "SlotExpired" => &[("execution_id", Id), ("slot", Count)],
        "ExecutionDequeued" => {
            &[("execution_id", Id), ("reason", Word(&["cancelled", "agent-deleted"]))]
        }
        "AdmissionSuspended" => &[(
            "reason",
            Word(&[
                "not-started",
                "agent-stopped",
                "agent-crashed",
                "agent-paused",
                "agent-deleted",
            ]),
        )],
        "AdmissionResumed" => &[],
        _ => return None,
    })
}

fn execution(event_type: &str) -> Option<Fields> {
    Some(match event_type {
        "ExecutionRequested" => REQUEST,
        "ExecutionStarted" => {
            &[("slot", Count), ("epoch", Count), ("claude_session_id", Text), ("started_at", Time)]
        }
        "SessionBound" => {
            &[("claude_session_id", Text), ("model_used?", Text), ("cli_version?", Text)]
        }
        "ToolCallStarted" => &[
            ("seq", Count),
            ("tool_call_id", Text),
            ("name", Text),
            ("input_preview", Text),
            ("at", Time),
        ],
        "ToolCallFinished" => &[
            ("seq", Count),
            ("tool_call_id", Text),
            ("is_error", Flag),
            ("duration_ms", Count),
            ("at", Time),
        ],
        "CancelRequested" => {
            &[("by", Text), ("reason", CANCEL), ("urgency?", Word(&["graceful", "kill"]))]
        }
        "InterruptSent" => &[("at", Time), ("grace_ms?", Count)],
        "KillSent" | "ContactRegained" => &[("at", Time)],
        "ContactLost" => &[("since", Time)],
        "TranscriptRemoved" => {
            &[("lines", Count), ("bytes", Count), ("retention_days", Count), ("at", Time)]
        }
        // Nothing is concluded from the verdict of a late result: a word, or an object.
        "ExecutionCompleted" | "LateResultObserved" => &[("outcome", Object(OUTCOME))],
        "ExecutionFailed" => &[("class", CLASS), ("error", Text), ("outcome", Object(OUTCOME))],
        "ExecutionCancelled" => &[
            ("by", Text),
            ("reason", CANCEL),
            ("phase", Word(&["queued", "requested", "interrupting", "killing"])),
            ("outcome", Object(OUTCOME)),
        ],
        _ => return None,
    })
}

fn account(event_type: &str) -> Option<Fields> {
    Some(match event_type {
        "UserCreated" => &[("name", Text), ("role", ROLE)],
        "UserRoleChanged" => &[("role", ROLE)],
        "ApiKeyCreated" => KEY,
        "UserDeleted" | "PasswordChanged" | "ApiKeyRevoked" | "ApiKeyDeleted" => &[],
        _ => return None,
    })
}

/// Refuses a body that lacks a field or holds something else in it.
pub(super) fn check(body: &Map<String, Value>, fields: Fields) -> Result<(), String> {
    for (name, kind) in fields {
        let (name, is_optional) = match name.strip_suffix('?') {
            Some(name) => (name, true),
            None => (*name, false),
        };
        match body.get(name) {
            None | Some(Value::Null) if is_optional => {}
            None => return Err(format!("field `{name}` is missing")),
            Some(value) => {
                holds(value, *kind).map_err(|inner| match inner {
                    Some(inner) => format!("in `{name}`: {inner}"),
                    None => format!("field `{name}` does not hold what it should"),
                })?;
            }
        }
    }
    Ok(())
}

fn holds(value: &Value, kind: Kind) -> Result<(), Option<String>> {
    let is_one = match (kind, value) {
        (Object(fields), Value::Object(inner)) => return check(inner, fields).map_err(Some),
        (Id, Value::String(text)) => is_uuid(text),
        (Name, Value::String(text)) => is_name(text),
        (Word(words), Value::String(text)) => words.contains(&text.as_str()),
        (Time, Value::String(text)) => DateTime::parse_from_rfc3339(text).is_ok(),
        (Text, Value::String(_)) | (Flag, Value::Bool(_)) => true,
        (Count, Value::Number(number)) => number.is_u64(),
        (Whole, Value::Number(number)) => number.is_i64() || number.is_u64(),
        (Texts, Value::Array(items)) => items.iter().all(Value::is_string),
        _ => false,
    };
    if is_one { Ok(()) } else { Err(None) }
}

/// Whether the text is a UUID in lowercase with hyphens, as the log spells them.
pub(super) fn is_uuid(text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|id| id.to_string() == text)
}

/// Whether the text can name an agent.
pub(super) fn is_name(text: &str) -> bool {
    (1..=NAME_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
