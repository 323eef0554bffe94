//! Agents and their runs on a real log, driven as the reactors drive them.

use chrono::{DateTime, Utc};
use trinity::commands::agents;
use trinity::commands::reports::{self, LifeRef};
use trinity::commands::runs::{self, Grant};
use trinity::commands::tasks::{self, Submit, Submitted, Waits};
use trinity::commands::{Cause, Refusal, ids};
use trinity::domain::agent::{Agent, AgentConfig, Create, ObservedStatus, Phase, Runtime, Setting};
use trinity::domain::execution::{
    CancelReason, ErrorClass, Execution, ExecutionCommand, ExitStatus, Outcome, Request, Source,
    Status, ToolCall, Trigger, Urgency, Verdict,
};
use trinity::domain::slots::Slots;
use trinity::domain::{AccountId, Actor, ExecutionId, Metadata};
use trinity::event_log::{EventLog, ExecuteError};
use uuid::Uuid;

/// How long an execution of these agents may run, in seconds.
pub const TIMEOUT_SECONDS: u32 = 60;

/// A log, the time on it, and who acts.
pub struct Fleet {
    pub log: EventLog,
    pub now: DateTime<Utc>,
}

pub fn owner() -> AccountId {
    ids::user_id("ada")
}

/// What a person causes.
pub fn by_user() -> Metadata {
    by(&Actor::User(owner()))
}

pub fn by(actor: &Actor) -> Metadata {
    Metadata {
        actor: actor.to_string(),
        correlation_id: Uuid::now_v7().to_string(),
        causation_id: None,
        command_id: Uuid::now_v7().to_string(),
        body_sha256: None,
        traceparent: None,
    }
}

/// Lets a refusal pass and nothing else.
pub fn unless_refused<T>(result: Result<T, ExecuteError<Refusal>>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(ExecuteError::Refused(_)) => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// A task of a person.
pub fn task(life: &LifeRef) -> Request {
    Request {
        agent: life.name.clone(),
        incarnation: life.incarnation,
        triggered_by: Trigger::Manual,
        source: Source::User,
        source_user: Some(owner()),
        source_agent: None,
        message: "look around".into(),
        model: None,
        allowed_tools: None,
        system_prompt: None,
        timeout_seconds: None,
        max_turns: None,
        resume_session_id: None,
        is_chat_turn: false,
        parent_execution_id: None,
        schedule_id: None,
        chat_session_id: None,
        process_run_id: None,
        step_id: None,
        payment_id: None,
        tags: vec![],
    }
}

impl Fleet {
    async fn cause(&self) -> Cause {
        let head = self.log.head();
        Cause::of(&self.log.event(head).await.unwrap().expect("an event"))
    }

    pub async fn create(&self, name: &str, capacity: u32) -> Option<LifeRef> {
        let mut config = AgentConfig::new(name.parse().unwrap(), Runtime::Demo);
        config.max_parallel_tasks = capacity;
        config.execution_timeout_seconds = TIMEOUT_SECONDS;
        let create = Create {
            incarnation: ids::incarnation_id(None),
            owner: owner(),
            is_system: name == "trinity-system",
            node_id: None,
            config,
            start: true,
        };
        unless_refused(agents::create(&self.log, create, Vec::new(), by_user(), self.now).await)
            .map(|created| created.life)
    }

    pub async fn provision(&self, life: &LifeRef) {
        let cause = self.cause().await;
        reports::provisioned(&self.log, life, "host".into(), &cause).await.unwrap();
    }

    pub async fn start(&self, life: &LifeRef) {
        let cause = self.cause().await;
        let (host, hash) = ("host".to_owned(), "hash".to_owned());
        reports::started(&self.log, life, host, hash, self.now, &cause).await.unwrap();
    }

    /// An agent that takes work.
    pub async fn running(&self, name: &str, capacity: u32) -> LifeRef {
        let life = self.create(name, capacity).await.expect("the name is free");
        self.provision(&life).await;
        self.start(&life).await;
        life
    }

    pub async fn observe(&self, life: &LifeRef, status: ObservedStatus) {
        let cause = self.cause().await;
        reports::observed(&self.log, life, (status, None), self.now, &cause).await.unwrap();
    }

    pub async fn request_start(&self, life: &LifeRef) {
        unless_refused(agents::request_start(&self.log, life, by_user()).await);
    }

    pub async fn request_stop(&self, life: &LifeRef) {
        unless_refused(agents::request_stop(&self.log, life, by_user()).await);
    }

    pub async fn stopped(&self, life: &LifeRef) {
        let cause = self.cause().await;
        reports::stopped(&self.log, life, &cause).await.unwrap();
    }

    pub async fn set(&self, life: &LifeRef, setting: Setting) {
        unless_refused(agents::set(&self.log, life, setting, by_user()).await);
    }

    pub async fn set_capacity(&self, life: &LifeRef, capacity: u32) {
        let set = agents::set_capacity(&self.log, life, capacity, by_user(), self.now).await;
        unless_refused(set);
    }

    pub async fn set_timeout(&self, life: &LifeRef, seconds: u32) {
        unless_refused(agents::set_timeout(&self.log, life, seconds, by_user()).await);
    }

    pub async fn grant(&self, caller: &LifeRef, callee: &LifeRef) {
        let LifeRef { name, incarnation } = callee.clone();
        self.set(caller, Setting::Grant { callee: name, callee_incarnation: incarnation }).await;
    }

    pub async fn phase(&self, life: &LifeRef) -> Phase {
        let agent = self.log.state::<Agent>(&life.name).await.unwrap().state;
        let is_current = agent.life.is_some_and(|now| now.incarnation == life.incarnation);
        if is_current { agent.phase } else { Phase::Absent }
    }

    pub async fn submit(&self, request: Request, caller: Option<&LifeRef>) -> Option<Submitted> {
        let actor = caller.map_or(Actor::User(owner()), |life| Actor::Agent(life.name.clone()));
        self.submit_as(request, caller, &actor).await
    }

    async fn submit_as(
        &self,
        request: Request,
        caller: Option<&LifeRef>,
        actor: &Actor,
    ) -> Option<Submitted> {
        let submit = Submit {
            execution_id: ids::execution_id(None),
            request,
            caller: caller.cloned(),
            waits: Waits::ForNothing,
            queue_length_max: 6,
            now: self.now,
        };
        unless_refused(tasks::submit(&self.log, submit, by(actor)).await)
    }

    /// A task of a person that is taken.
    pub async fn task(&self, life: &LifeRef) -> ExecutionId {
        self.submit(task(life), None).await.expect("taken").execution_id
    }

    pub async fn chat(&self, life: &LifeRef) -> ExecutionId {
        let request = Request { is_chat_turn: true, triggered_by: Trigger::Chat, ..task(life) };
        self.submit(request, None).await.expect("taken").execution_id
    }

    /// A call of one agent to another, from within a run if there is one.
    pub async fn call(
        &self,
        caller: &LifeRef,
        callee: &LifeRef,
        parent: Option<ExecutionId>,
    ) -> Option<ExecutionId> {
        let request = Request {
            source: Source::Agent,
            triggered_by: Trigger::Mcp,
            source_user: None,
            source_agent: Some(caller.name.clone()),
            parent_execution_id: parent,
            ..task(callee)
        };
        self.submit(request, Some(caller)).await.map(|submitted| submitted.execution_id)
    }

    /// A call by the server's own key.
    pub async fn order(&self, callee: &LifeRef) -> ExecutionId {
        let request = Request {
            source: Source::Agent,
            triggered_by: Trigger::Mcp,
            source_user: None,
            source_agent: Some("trinity-system".parse().unwrap()),
            ..task(callee)
        };
        self.submit_as(request, None, &Actor::System).await.expect("taken").execution_id
    }

    pub async fn execution(&self, id: ExecutionId) -> Execution {
        self.log.state::<Execution>(id).await.unwrap().state
    }

    /// The slot that an execution holds.
    pub async fn held(&self, id: ExecutionId) -> Option<Grant> {
        let incarnation = self.execution(id).await.request?.incarnation;
        let slots = self.log.state::<Slots>(incarnation).await.unwrap().state;
        let (slot, active) = slots.slot_of(id)?;
        Some(Grant { execution_id: id, incarnation, slot, epoch: active.epoch })
    }

    /// What dispatch does with a grant: refuses it when the permission is gone, else starts it.
    pub async fn dispatch(&self, id: ExecutionId) {
        let Some(grant) = self.held(id).await else { return };
        let request = self.execution(id).await.request.unwrap();
        let cause = self.cause().await;
        if let Some(caller) = &request.source_agent {
            let agent = self.log.state::<Agent>(caller).await.unwrap().state;
            if !agent.may_call(&request.agent, request.incarnation) {
                let (class, error) = (ErrorClass::Rejected, "the grant is gone".to_owned());
                runs::reject(&self.log, grant, class, error, self.now, &cause).await.unwrap();
                return;
            }
        }
        runs::record_started(&self.log, grant, "s".into(), self.now, &cause).await.unwrap();
    }

    pub async fn tools(&self, id: ExecutionId, line: u64) {
        let (tool_call_id, at) = (line.to_string(), self.now);
        let calls = vec![
            ToolCall::Started {
                seq: line,
                tool_call_id: tool_call_id.clone(),
                name: "Bash".into(),
                input_preview: "ls".into(),
                at,
            },
            ToolCall::Finished { seq: line + 1, tool_call_id, is_error: false, at },
        ];
        self.tell(id, ExecutionCommand::RecordToolCalls { calls }).await;
    }

    /// What the supervisor says of a run, beside its start and its end.
    pub async fn tell(&self, id: ExecutionId, command: ExecutionCommand) {
        let metadata = self.cause().await.metadata();
        self.log.execute::<Execution>(id, command, metadata).await.unwrap();
    }

    pub async fn exit(&self, id: ExecutionId, verdict: Verdict) {
        let incarnation = self.execution(id).await.request.unwrap().incarnation;
        let late = Grant { execution_id: id, incarnation, slot: 1, epoch: 1 };
        let grant = self.held(id).await.unwrap_or(late);
        let outcome = Outcome {
            exit: Some(ExitStatus { code: Some(0), signal: None }),
            ..Outcome::ended(self.now)
        };
        let cause = self.cause().await;
        let done = runs::record_exit(&self.log, grant, verdict, outcome, self.now, &cause).await;
        unless_refused(done);
    }

    pub async fn complete(&self, id: ExecutionId) {
        self.exit(id, Verdict::Completed).await;
    }

    pub async fn cancel(&self, id: ExecutionId) {
        let (reason, urgency) = (CancelReason::Requested, Urgency::Graceful);
        tasks::cancel(&self.log, id, reason, urgency, by_user()).await.unwrap();
    }

    pub async fn never_started(&self, id: ExecutionId) {
        let Some(grant) = self.held(id).await else { return };
        let cause = self.cause().await;
        runs::record_never_started(&self.log, grant, self.now, &cause).await.unwrap();
    }

    pub async fn lose(&self, id: ExecutionId) {
        let Some(grant) = self.held(id).await else { return };
        let cause = self.cause().await;
        runs::record_lost(&self.log, grant, "crashed".into(), self.now, &cause).await.unwrap();
    }

    pub async fn expire(&self, id: ExecutionId) {
        let Some(grant) = self.held(id).await else { return };
        let cause = self.cause().await;
        runs::expire(&self.log, grant, "silent".into(), self.now, &cause).await.unwrap();
    }

    pub async fn regrant(&self, id: ExecutionId) {
        let Some(grant) = self.held(id).await else { return };
        let cause = self.cause().await;
        runs::regrant(&self.log, grant, self.now, &cause).await.unwrap();
    }

    /// Ends the life of an agent: first what waits, then what runs, then the agent.
    pub async fn delete(&self, life: &LifeRef) {
        unless_refused(agents::request_delete(&self.log, life, by_user()).await);
        if self.phase(life).await != Phase::Deleting {
            return;
        }
        let slots = self.log.state::<Slots>(life.incarnation).await.unwrap().state;
        let reason = CancelReason::AgentDeleted;
        for queued in &slots.queue {
            let metadata = by(&Actor::System);
            tasks::cancel_if_queued(&self.log, queued.execution_id, reason, metadata)
                .await
                .unwrap();
        }
        for active in slots.active.values() {
            let id = active.execution_id;
            let (grant, cause) = (self.held(id).await.unwrap(), self.cause().await);
            runs::cancel_with_agent(&self.log, grant, reason, &cause).await.unwrap();
            if self.execution(id).await.status == Some(Status::Running) {
                self.complete(id).await;
            } else {
                self.never_started(id).await;
            }
        }
        let cause = self.cause().await;
        reports::deleted(&self.log, life, &cause).await.unwrap();
    }
}
