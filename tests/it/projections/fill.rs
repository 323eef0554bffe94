//! Any number of executions in the read models, fast: events that no log holds, folded in large batches
//! by the read models' own folds, so that every table is what a log of them would have made.

use std::sync::Arc;

use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use trinity::db::{Db, Statement};
use trinity::domain::agent::{Agent, AgentConfig, AgentEvent, Runtime};
use trinity::domain::execution::{
    CancelPhase, CancelReason, ErrorClass, Execution, ExecutionEvent, Outcome, Request, Source,
    Status, Trigger,
};
use trinity::domain::{
    AccountId, AgentName, Event, EventId, ExecutionId, IncarnationId, Metadata, Recorded, StreamId,
};
use trinity::projections::{Build, Projection, all};
use uuid::Uuid;

/// How many positions of the log an execution takes.
pub const POSITIONS: i64 = 8;
/// How many executions are folded at once.
const BATCH: usize = 2_000;
/// Milliseconds between two executions.
const SPACING_MS: i64 = 700;
/// How many agents there are.
pub const AGENTS: u64 = 20;

/// What there is to know of one execution without asking a read model.
#[derive(Debug, Clone)]
pub struct Sample {
    pub number: u64,
    pub id: ExecutionId,
    pub life: IncarnationId,
    pub status: Status,
    pub trigger: Trigger,
    pub cost: Option<u64>,
    pub duration_ms: Option<u64>,
    pub created_at: DateTime<Utc>,
    pub message: String,
}

/// A number that looks like chance and is always the same.
fn chance(number: u64, salt: u64, of: u64) -> u64 {
    let mut mixed =
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^= mixed >> 31;
    mixed = mixed.wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 29)) % of
}

pub fn begin() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default()
}

pub fn owner() -> AccountId {
    AccountId(Uuid::from_u128(7))
}

pub fn life(agent: u64) -> IncarnationId {
    IncarnationId(Uuid::from_u128(0xa_0000 + u128::from(agent)))
}

pub fn name(agent: u64) -> AgentName {
    match format!("agent-{agent}").parse() {
        Ok(name) => name,
        Err(_) => unreachable!("it is a name"),
    }
}

impl Sample {
    /// The execution of that number among `count`.
    pub fn of(number: u64, count: u64) -> Self {
        let status = match (count - number, chance(number, 1, 100)) {
            (1..=5, _) => Status::Pending,
            (6..=10, _) => Status::Running,
            (_, 0..=7) => Status::Failed,
            (_, 8) => Status::Cancelled,
            _ => Status::Completed,
        };
        let trigger = match chance(number, 2, 50) {
            0 => Trigger::Chat,
            1..=9 => Trigger::Schedule,
            10 => Trigger::Mcp,
            _ => Trigger::Manual,
        };
        // Some agents are busy, some hardly ever.
        let agent = chance(number, 3, AGENTS).min(chance(number, 4, AGENTS));
        let ended = status.is_terminal();
        let spread = 1_u64 << chance(number, 6, 12);
        let milliseconds = SPACING_MS.saturating_mul(i64::try_from(number).unwrap_or_default());
        Self {
            number,
            id: ExecutionId(Uuid::from_u128((1 << 100) + u128::from(number))),
            life: life(agent),
            status,
            trigger,
            cost: (ended && chance(number, 5, 4) > 0)
                .then(|| 1_000 * spread + chance(number, 7, 999)),
            duration_ms: ended.then(|| 500 + chance(number, 8, 90_000)),
            created_at: begin() + TimeDelta::milliseconds(milliseconds),
            message: message(number),
        }
    }

    /// Where its row stands in the list.
    pub fn row_no(&self) -> i64 {
        POSITIONS * i64::try_from(self.number).unwrap_or(i64::MAX) + 1_000
    }

    fn agent(&self) -> u64 {
        u64::try_from(self.life.0.as_u128() - 0xa_0000).unwrap_or_default()
    }

    fn events(&self) -> Vec<Arc<Recorded>> {
        let request = Request {
            agent: name(self.agent()),
            incarnation: self.life,
            triggered_by: self.trigger,
            source: match self.trigger {
                Trigger::Schedule => Source::Schedule,
                Trigger::Mcp => Source::Agent,
                Trigger::Manual | Trigger::Chat | Trigger::Paid | Trigger::Process => Source::User,
            },
            source_user: Some(owner()),
            source_agent: None,
            message: self.message.clone(),
            model: None,
            allowed_tools: None,
            system_prompt: None,
            timeout_seconds: None,
            max_turns: None,
            resume_session_id: None,
            is_chat_turn: self.trigger == Trigger::Chat,
            parent_execution_id: None,
            schedule_id: None,
            chat_session_id: None,
            process_run_id: None,
            step_id: None,
            payment_id: None,
            tags: vec![],
        };
        let mut events = vec![ExecutionEvent::ExecutionRequested(Box::new(request))];
        if self.status != Status::Pending {
            let started_at = self.created_at;
            let claude_session_id = self.id.to_string();
            let (slot, epoch) = (1, 1);
            events.push(ExecutionEvent::ExecutionStarted {
                slot,
                epoch,
                claude_session_id,
                started_at,
            });
        }
        let outcome = Box::new(Outcome {
            response: Some(format!("done with number {}", self.number)),
            cost_usd_micros: self.cost.and_then(|cost| i64::try_from(cost).ok()),
            duration_ms: self.duration_ms,
            ..Outcome::ended(self.created_at)
        });
        events.extend(match self.status {
            Status::Pending | Status::Running => None,
            Status::Completed => Some(ExecutionEvent::ExecutionCompleted { outcome }),
            Status::Failed => {
                let (class, error) = (ErrorClass::Exit, "exit code 1".to_owned());
                Some(ExecutionEvent::ExecutionFailed { class, error, outcome })
            }
            Status::Cancelled => {
                let (by, reason) = ("system".to_owned(), CancelReason::Requested);
                let phase = CancelPhase::Interrupting;
                Some(ExecutionEvent::ExecutionCancelled { by, reason, phase, outcome })
            }
        });
        let stream = StreamId::of::<Execution>(self.id);
        let at = |(place, event)| {
            let position = self.row_no() + place;
            recorded(position, stream.clone(), place + 1, self.created_at, Event::Execution(event))
        };
        (0..).zip(events).map(at).collect()
    }
}

/// Words that many messages have, words that few have, and one that only this message has.
fn message(number: u64) -> String {
    const WORDS: [&str; 16] = [
        "review",
        "the",
        "logs",
        "of",
        "service",
        "and",
        "report",
        "errors",
        "fix",
        "tests",
        "in",
        "module",
        "deploy",
        "site",
        "summarize",
        "issue",
    ];
    let mut words: Vec<String> = (0..10)
        .map(|place| WORDS[usize::try_from(chance(number, 20 + place, 16)).unwrap_or(0)].to_owned())
        .collect();
    words.push(format!("word{}", chance(number, 40, 5_000)));
    words.push(format!("only{number}"));
    match chance(number, 41, 1_000) {
        0 => words.push("needle".to_owned()),
        1 => words.push("100% \"sure\"".to_owned()),
        _ => {}
    }
    if number < 100 {
        words.push("ancient".to_owned());
    }
    words.join(" ")
}

fn recorded(
    position: i64,
    stream: StreamId,
    version: i64,
    recorded_at: DateTime<Utc>,
    event: Event,
) -> Arc<Recorded> {
    let metadata = Metadata {
        actor: "system".to_owned(),
        correlation_id: String::new(),
        causation_id: None,
        command_id: String::new(),
        body_sha256: None,
        traceparent: None,
    };
    let event_id = EventId(Uuid::from_u128((2 << 100) + u128::from(position.unsigned_abs())));
    Arc::new(Recorded { position, event_id, stream, version, recorded_at, metadata, event })
}

fn agents() -> Vec<Arc<Recorded>> {
    let created = |agent: u64| {
        let event = AgentEvent::AgentCreated {
            incarnation: life(agent),
            owner: owner(),
            is_system: false,
            node_id: None,
            config: Box::new(AgentConfig::new(name(agent), Runtime::Demo)),
            start: true,
        };
        let stream = StreamId::of::<Agent>(name(agent));
        let position = i64::try_from(agent).unwrap_or_default() + 1;
        recorded(position, stream, 1, begin(), Event::Agent(event))
    };
    (0..AGENTS).map(created).collect()
}

async fn fold(db: &Db, projection: &dyn Projection, events: &[Arc<Recorded>]) -> Result<()> {
    let statements = projection.fold(db, Build::Live, events).await?;
    ensure!(db.transaction(statements).await?, "somebody else writes them");
    Ok(())
}

/// Folds `count` executions into the live tables of the named read models, which must be there.
pub async fn fill(db: &Db, names: &[&str], count: u64) -> Result<()> {
    let projections: Vec<_> = all().into_iter().filter(|p| names.contains(&p.name())).collect();
    for projection in &projections {
        fold(db, &**projection, &agents()).await?;
    }
    for first in (0..count).step_by(BATCH) {
        let batch = first..count.min(first + BATCH as u64);
        let events: Vec<_> = batch.flat_map(|number| Sample::of(number, count).events()).collect();
        for projection in &projections {
            fold(db, &**projection, &events).await?;
        }
    }
    if !db.is_sqlite() {
        for table in projections.iter().flat_map(|projection| projection.tables()) {
            db.execute(Statement::new(format!("ANALYZE {}", table.name))).await?;
        }
    }
    Ok(())
}
