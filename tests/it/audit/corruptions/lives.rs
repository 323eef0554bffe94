//! What executions, agents and accounts never do, and who may call whom.

use trinity::audit::Invariant::{
    Accounts, AgentLife, Calls, Epochs, NoStartAfterEnd, OneEnd, Parents, Transitions,
};

use super::super::tamper::{Log, Op};
use super::{Corruption, edited, removed, repeated, spoilt};

pub(super) fn all(log: &Log) -> Vec<Corruption> {
    [ends(log), transitions(log), starts(log), calls(log), agents(log), accounts(log)]
        .into_iter()
        .flatten()
        .collect()
}

/// Makes another event of a row.
fn replaced(position: i64, event_type: &str, body: &str) -> Vec<Op> {
    let columns = format!("event_type = '{event_type}', payload = '{{\"{event_type}\":{body}}}'");
    vec![Op::Set(position, columns)]
}

fn ends(log: &Log) -> Vec<Corruption> {
    let first = log.run("scout", 0);
    let last = log.last().position;
    let completed = log.of("ExecutionCompleted", &first).position;
    let tool = log.of("ToolCallStarted", &first).position;
    let started = log.of("ExecutionStarted", &first).position;
    let late = log.nth("LateResultObserved", 0).position;
    vec![
        repeated("a second end", completed, completed, OneEnd),
        repeated("a second end much later", completed, last, OneEnd),
        repeated("a tool call after the end", tool, last, OneEnd),
        repeated("a second late report", late, last, OneEnd),
        repeated("a start after the end", started, last, NoStartAfterEnd),
    ]
}

fn transitions(log: &Log) -> Vec<Corruption> {
    let (first, chat) = (log.run("scout", 0), log.run("scout", 1));
    let started = log.of("ExecutionStarted", &first).position;
    let bound = log.of("SessionBound", &first).position;
    let asked = log.of("CancelRequested", &chat).position;
    let cancelled = log.of("ExecutionCancelled", &chat).position;
    let interrupted = log.of("InterruptSent", &chat).position;
    let killed = log.of("KillSent", &chat).position;
    let out_of_contact = log.of("ContactLost", &chat).position;
    let in_contact = log.of("ContactRegained", &chat).position;
    let answered = log.of("ToolCallFinished", &first).position;
    let called = log.of("ToolCallStarted", &first).position;
    vec![
        removed("a session without a start", started, Transitions, bound),
        removed("a cancel that nobody asked for", asked, Transitions, cancelled),
        repeated("a second interrupt", interrupted, killed, Transitions),
        repeated("contact lost twice", out_of_contact, out_of_contact, Transitions),
        removed("contact regained that was not lost", out_of_contact, Transitions, in_contact),
        repeated("a second session", bound, bound, Transitions),
        removed("an answer to no tool call", called, Transitions, answered),
        edited("an answer before its call", answered, "\"seq\":4", "\"seq\":2", Transitions),
    ]
}

fn starts(log: &Log) -> Vec<Corruption> {
    let (first, third) = (log.run("scout", 0), log.run("scout", 3));
    let began = log.of("ExecutionStarted", &first).position;
    let again = log.of("ExecutionStarted", &third).position;
    vec![
        repeated("started twice", again, again, Epochs),
        edited("started under the old epoch", again, "\"epoch\":2", "\"epoch\":1", Epochs),
        edited("started in another slot", began, "\"slot\":1", "\"slot\":2", Epochs),
    ]
}

fn calls(log: &Log) -> Vec<Corruption> {
    let child = log.run("helper", 0);
    let asked = log.of("ExecutionRequested", &child).position;
    let own = log.of("ExecutionRequested", &log.run("lead", 1)).position;
    let permission = log.nth("PermissionGranted", 0);
    let callee = permission.get("callee_incarnation").as_str().unwrap();
    let other_life = vec![Op::Payload(permission.position, callee.into(), log.life("phoenix", 1))];
    let rejected = log.of("ExecutionFailed", &log.run("helper", 1)).position;
    let body =
        r#"{"slot":1,"epoch":1,"claude_session_id":"s","started_at":"2030-01-01T00:00:00Z"}"#;
    let started = replaced(rejected, "ExecutionStarted", body);
    let (lead, scout) = ("\"source_agent\":\"lead\"", "\"source_agent\":\"scout\"");
    let person = vec![Op::Metadata(asked, "agent:lead".into(), "user:lead".into())];
    vec![
        spoilt("a call that a person makes", person, Calls, asked),
        removed("a call without a grant", permission.position, Calls, asked),
        spoilt("a grant to another life", other_life, Calls, asked),
        edited("a call in another's name", asked, lead, scout, Calls),
        edited("a call as a person's", asked, "\"source\":\"agent\"", "\"source\":\"user\"", Calls),
        spoilt("a start without the grant", started, Calls, rejected),
        edited("a parent of somebody else", own, &log.run("lead", 0), &child, Parents),
    ]
}

fn agents(log: &Log) -> Vec<Corruption> {
    let (phoenix, reborn) = (log.life("phoenix", 0), log.life("phoenix", 1));
    let deleted = log.of("AgentDeleted", "phoenix").position;
    let second_life = log.after("AgentCreated", deleted).position;
    let provisioned = log.of("AgentProvisioned", "scout").position;
    let started = log.after("AgentStarted", provisioned).position;
    let stop = log.of("AgentStopRequested", "phoenix").position;
    let created = log.of("AgentCreated", "busy").position;
    let work = log.of("ExecutionRequested", &log.run("busy", 0)).position;
    let given_up = log
        .0
        .iter()
        .find(|row| {
            row.event_type == "AgentStopped" && row.get("reason").as_str() == Some("crash-loop")
        })
        .unwrap()
        .position;
    let body = r#"{"status":"restarting","at":"2020-01-01T00:00:00Z"}"#;
    let restarted = replaced(given_up, "AgentStatusObserved", body);
    let freed = log.of("SlotReleased", log.after("CancelRequested", stop).stream_id.as_str());
    let stopped = log.of("AgentStopped", "phoenix").position;
    vec![
        removed("a start before the place is made", provisioned, AgentLife, started),
        edited("a life that is not a new one", second_life, &reborn, &phoenix, AgentLife),
        edited(
            "a life under another name",
            created,
            "\"name\":\"busy\"",
            "\"name\":\"lazy\"",
            AgentLife,
        ),
        repeated("something after the deletion", stop, deleted, AgentLife),
        repeated("slots after the deletion", freed.position, deleted, AgentLife),
        edited("work for a life that is over", work, &log.life("busy", 0), &phoenix, AgentLife),
        spoilt("a restart too many", restarted, AgentLife, given_up),
        edited("given up without a crash", stopped, "requested", "crash-loop", AgentLife),
    ]
}

fn accounts(log: &Log) -> Vec<Corruption> {
    let created = log.nth("ApiKeyCreated", 0).position;
    let revoked = log.nth("ApiKeyRevoked", 0).position;
    let user = log.nth("UserCreated", 1).position;
    let role = log.nth("UserRoleChanged", 0).position;
    let (user_scope, agent_scope) = ("\"scope\":\"user\"", "\"scope\":\"agent\"");
    vec![
        repeated("a key revoked twice", revoked, revoked, Accounts),
        edited("an agent's key without the agent", created, user_scope, agent_scope, Accounts),
        removed("a role of nobody", user, Accounts, role),
    ]
}
