//! `trinity exec show`: an execution with its answer, and what can be done about it.

use chrono::{DateTime, Utc};
use console::style;

use super::super::Session;
use super::super::client::Call;
use super::super::error::Result;
use super::super::output::{Form, print, status_style};
use super::super::text::{ago, clean, cost, duration, short_id, time};
use super::super::wire::{Execution, Usage};
use super::find::Fragment;
use crate::clock;

/// How many lines of a message are shown.
const MESSAGE_LINES_MAX: usize = 12;

impl Session {
    pub(super) async fn show_execution(&self, fragment: &Fragment) -> Result<()> {
        let watched = self.find(fragment).await?;
        let answer = self.client.call(Call::get(watched.path())).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let execution: Execution = answer.read()?;
        self.output.block(block(&execution, clock::now()))?;
        if let Some(response) = execution.response.as_deref().filter(|text| !text.is_empty()) {
            print("")?;
            print(&clean(response))?;
        }
        for command in next_commands(&execution) {
            eprintln!("{} {command}", style("next:").for_stderr().cyan());
        }
        Ok(())
    }
}

fn block(execution: &Execution, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let moment = |at: DateTime<Utc>| format!("{} ({})", time(at), ago(at, now));
    let class = execution.error_class.as_ref().map(|class| format!(", {class}"));
    let triggered_by = match &execution.source_agent {
        Some(agent) => format!("{} by {agent}", execution.triggered_by),
        None => execution.triggered_by.clone(),
    };
    let rows = [
        ("id", Some(execution.id.to_string())),
        ("agent", Some(execution.agent_name.clone())),
        ("status", Some(format!("{}{}", execution.status, class.unwrap_or_default()))),
        ("error", execution.error.clone()),
        ("stop", execution.cancel_phase.clone().filter(|_| !execution.is_over())),
        ("queue position", execution.queue_position.map(|place| place.to_string())),
        ("waits because", execution.queue_reason.clone()),
        ("no contact since", execution.lost_contact_at.map(moment)),
        ("triggered by", Some(triggered_by)),
        ("message", Some(first_lines(&execution.message))),
        ("submitted", Some(moment(execution.created_at))),
        ("started", execution.started_at.map(moment)),
        ("ended", execution.completed_at.map(moment)),
        ("duration", execution.duration_ms.map(duration)),
        ("cost", execution.cost.map(cost)),
        ("model", execution.model_used.clone()),
        ("tokens", execution.usage.as_ref().map(tokens)),
        ("turns", execution.num_turns.map(|turns| turns.to_string())),
        ("tool calls", execution.tool_call_count.map(|count| count.to_string())),
        ("slot", execution.slot.map(|slot| slot.to_string())),
        ("exit code", execution.exit_code.map(|code| code.to_string())),
        ("session", execution.claude_session_id.clone()),
        ("called for by", execution.parent_execution_id.map(|id| id.to_string())),
    ];
    rows.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn first_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().take(MESSAGE_LINES_MAX).collect();
    if text.lines().count() > MESSAGE_LINES_MAX {
        lines.push("…");
    }
    lines.join("\n")
}

fn tokens(usage: &Usage) -> String {
    let Usage { input, output, cache_read } = usage;
    format!("{input} in, {output} out, {cache_read} from the cache")
}

fn next_commands(execution: &Execution) -> Vec<String> {
    let id = short_id(execution.id);
    match (execution.is_over(), &execution.claude_session_id) {
        (false, _) => {
            vec![format!("trinity exec logs -f {id}"), format!("trinity exec stop {id}")]
        }
        (true, Some(session)) => vec![
            format!("trinity exec logs {id}"),
            format!("trinity run {} --resume {session} \"…\"", execution.agent_name),
        ],
        (true, None) => vec![format!("trinity exec logs {id}")],
    }
}

/// How many tool calls there were, in words.
pub fn tool_calls(count: u32) -> String {
    match count {
        1 => "1 tool call".to_owned(),
        count => format!("{count} tool calls"),
    }
}

/// One line about how an execution ended, for standard error.
pub fn summary(execution: &Execution) -> String {
    let sign = match execution.status.as_str() {
        "completed" => "✓",
        "cancelled" => "■",
        _ => "✗",
    };
    let style = status_style(&execution.status).for_stderr();
    let facts = [
        execution.duration_ms.map(|ms| format!("in {}", duration(ms))),
        execution.cost.map(cost),
        execution.tool_call_count.filter(|count| *count > 0).map(tool_calls),
        execution.model_used.as_deref().map(clean),
        Some(short_id(execution.id)),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let word = style.apply_to(format!("{sign} {}", clean(&execution.status)));
    format!("{word} {}", facts.join(" · "))
}
