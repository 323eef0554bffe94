use tempfile::TempDir;
use uuid::Uuid;

use super::agents;
use super::reports::{self, LifeRef};
use super::tasks::{self, CALL_DEPTH_MAX, Cancelled, Submit, SubmitError, Submitted, Waits};
use super::{Cause, Refusal, Result, ids, runs};
use crate::clock;
use crate::domain::agent::{Agent, AgentConfig, AgentError, Create, Phase, Runtime, Setting};
use crate::domain::execution::{
    CancelReason, Execution, Outcome, Request, Source, Status, Trigger, Urgency, Verdict,
};
use crate::domain::slots::{Slots, SlotsError};
use crate::domain::{AccountId, AgentName, ExecutionId, IncarnationId, Metadata, StreamId};
use crate::event_log::{EventLog, ExecuteError};

struct Fixture {
    log: EventLog,
    _dir: TempDir,
}

fn owner() -> AccountId {
    AccountId(Uuid::from_u128(7))
}

fn metadata() -> Metadata {
    Metadata {
        actor: "user:7".into(),
        correlation_id: Uuid::now_v7().to_string(),
        causation_id: None,
        command_id: Uuid::now_v7().to_string(),
        body_sha256: None,
        traceparent: None,
    }
}

fn with_body(sha256: &str) -> Metadata {
    Metadata { body_sha256: Some(sha256.into()), ..metadata() }
}

fn refusal<T: std::fmt::Debug>(result: Result<T>) -> Refusal {
    match result.unwrap_err() {
        ExecuteError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open_sqlite(&dir.path().join("log.db")).await.unwrap();
        Self { log, _dir: dir }
    }

    async fn create(&self, name: &str, capacity: u32) -> LifeRef {
        let mut config = AgentConfig::new(name.parse().unwrap(), Runtime::Demo);
        config.max_parallel_tasks = capacity;
        let incarnation = IncarnationId(Uuid::now_v7());
        let create = Create {
            incarnation,
            owner: owner(),
            is_system: false,
            node_id: None,
            config,
            start: true,
        };
        agents::create(&self.log, create, Vec::new(), metadata(), clock::now()).await.unwrap().life
    }

    async fn running(&self, name: &str, capacity: u32) -> LifeRef {
        let life = self.create(name, capacity).await;
        self.start(&life).await;
        life
    }

    async fn start(&self, life: &LifeRef) {
        let cause = self.cause().await;
        reports::provisioned(&self.log, life, "h".into(), &cause).await.unwrap();
        reports::started(&self.log, life, "h".into(), "c".into(), clock::now(), &cause)
            .await
            .unwrap();
    }

    async fn cause(&self) -> Cause {
        Cause::of(&self.log.event(1).await.unwrap().unwrap())
    }

    async fn submit(&self, submit: Submit) -> Result<Submitted> {
        tasks::submit(&self.log, submit, metadata()).await
    }

    /// Reports the start of an execution that has a slot.
    async fn run(&self, life: &LifeRef, execution_id: ExecutionId) -> runs::Grant {
        let slots = self.log.state::<Slots>(life.incarnation).await.unwrap().state;
        let (slot, active) = slots.slot_of(execution_id).unwrap();
        let incarnation = life.incarnation;
        let grant = runs::Grant { execution_id, incarnation, slot, epoch: active.epoch };
        let cause = self.cause().await;
        runs::record_started(&self.log, grant, "s".into(), clock::now(), &cause).await.unwrap();
        grant
    }

    async fn status(&self, id: ExecutionId) -> Option<Status> {
        self.log.state::<Execution>(id).await.unwrap().state.status
    }

    /// The id of the last event of this type in the execution, and of the one that led to it.
    async fn last(&self, kind: &str, id: ExecutionId) -> (String, Option<String>) {
        let events = self.log.stream(&StreamId::of::<Execution>(id), 0, 100).await.unwrap();
        let last = events.iter().rfind(|recorded| recorded.event.name() == kind).unwrap();
        (last.event_id.to_string(), last.metadata.causation_id.clone())
    }

    async fn grant(&self, caller: &LifeRef, callee: &LifeRef) {
        let setting =
            Setting::Grant { callee: callee.name.clone(), callee_incarnation: callee.incarnation };
        agents::set(&self.log, caller, setting, metadata()).await.unwrap();
    }
}

fn task(life: &LifeRef) -> Submit {
    let request = Request {
        agent: life.name.clone(),
        incarnation: life.incarnation,
        triggered_by: Trigger::Manual,
        source: Source::User,
        source_user: Some(owner()),
        source_agent: None,
        message: "go".into(),
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
    };
    Submit {
        execution_id: ids::execution_id(None),
        request,
        caller: None,
        waits: Waits::ForNothing,
        queue_length_max: 2,
        now: clock::now(),
    }
}

fn call(caller: &LifeRef, callee: &LifeRef, parent: Option<ExecutionId>) -> Submit {
    let mut submit = task(callee);
    submit.request.source = Source::Agent;
    submit.request.triggered_by = Trigger::Mcp;
    submit.request.source_agent = Some(caller.name.clone());
    submit.request.parent_execution_id = parent;
    submit.caller = Some(caller.clone());
    submit
}

#[tokio::test]
async fn tasks_take_slots_then_places_in_the_queue_then_are_refused() {
    let f = Fixture::new().await;
    let life = f.running("scout", 1).await;
    let mut places = Vec::new();
    for _ in 0..3 {
        places.push(f.submit(task(&life)).await.unwrap().queue_position);
    }
    assert_eq!(places, [None, Some(1), Some(2)]);
    let full = refusal(f.submit(task(&life)).await);
    assert_eq!(full, SlotsError::QueueFull { length: 2 }.into());
}

#[tokio::test]
async fn a_refused_task_leaves_nothing_in_the_log() {
    let f = Fixture::new().await;
    let life = f.create("scout", 1).await;
    let head = f.log.head();
    let submit = task(&life);
    let refused = refusal(f.submit(submit.clone()).await);
    assert!(matches!(refused, Refusal::Submit(SubmitError::NotRunning { .. })), "{refused}");
    assert_eq!(f.log.head(), head);
    assert_eq!(f.status(submit.execution_id).await, None);
}

#[tokio::test]
async fn a_repeat_under_its_key_is_answered_like_the_first_whatever_has_changed() {
    let f = Fixture::new().await;
    let life = f.running("scout", 1).await;
    let submit = task(&life);
    let first = tasks::submit(&f.log, submit.clone(), with_body("b")).await.unwrap();
    agents::request_stop(&f.log, &life, metadata()).await.unwrap();
    let again = tasks::submit(&f.log, submit.clone(), with_body("b")).await.unwrap();
    assert_eq!(again, Submitted { is_replay: true, ..first });
    let other = refusal(tasks::submit(&f.log, submit, with_body("c")).await);
    assert_eq!(other, SubmitError::KeyReused.into());
}

#[tokio::test]
async fn a_repeat_is_told_the_place_it_had_not_the_one_it_has() {
    let f = Fixture::new().await;
    let life = f.running("scout", 1).await;
    let first = f.submit(task(&life)).await.unwrap().execution_id;
    let second = f.submit(task(&life)).await.unwrap().execution_id;
    let third = task(&life);
    let taken = tasks::submit(&f.log, third.clone(), with_body("b")).await.unwrap();
    assert_eq!(taken.queue_position, Some(2));
    let cancel = tasks::cancel_if_queued(&f.log, second, CancelReason::Requested, metadata());
    assert!(cancel.await.unwrap().0);
    let grant = f.run(&life, first).await;
    let (cause, now) = (f.cause().await, clock::now());
    let exit = (Verdict::Completed, Outcome::ended(now));
    runs::record_exit(&f.log, grant, exit.0, exit.1, now, &cause).await.unwrap();
    let again = tasks::submit(&f.log, third, with_body("b")).await.unwrap();
    assert_eq!(again, Submitted { is_replay: true, ..taken });
}

#[tokio::test]
async fn an_agent_calls_only_whom_it_was_granted() {
    let f = Fixture::new().await;
    let (a, b) = (f.running("a", 1).await, f.running("b", 3).await);
    let denied =
        SubmitError::NotPermitted { caller: a.name.clone(), callee: b.name.clone() }.into();
    assert_eq!(refusal(f.submit(call(&a, &b, None)).await), denied);
    f.grant(&a, &b).await;
    f.submit(call(&a, &b, None)).await.unwrap();
    f.submit(call(&a, &a, None)).await.unwrap();
    // A key of an earlier life of the caller is worth nothing.
    let earlier = LifeRef { incarnation: IncarnationId(Uuid::now_v7()), ..a.clone() };
    assert_eq!(refusal(f.submit(call(&earlier, &b, None)).await), denied);
}

#[tokio::test]
async fn a_parent_is_a_running_execution_of_the_caller() {
    let f = Fixture::new().await;
    let (a, b) = (f.running("a", 3).await, f.running("b", 3).await);
    f.grant(&a, &b).await;
    let parent = f.submit(task(&a)).await.unwrap().execution_id;
    let invalid: Refusal = SubmitError::InvalidParent.into();
    assert_eq!(refusal(f.submit(call(&a, &b, Some(parent))).await), invalid);
    let grant = f.run(&a, parent).await;
    f.submit(call(&a, &b, Some(parent))).await.unwrap();
    assert_eq!(refusal(f.submit(call(&b, &b, Some(parent))).await), invalid);
    let cause = f.cause().await;
    let exit = (Verdict::Completed, Outcome::ended(clock::now()));
    runs::record_exit(&f.log, grant, exit.0, exit.1, clock::now(), &cause).await.unwrap();
    assert_eq!(refusal(f.submit(call(&a, &b, Some(parent))).await), invalid);
}

#[tokio::test]
async fn a_call_that_would_wait_for_itself_is_refused_and_a_free_slot_makes_it_possible() {
    let f = Fixture::new().await;
    let (a, b) = (f.running("a", 1).await, f.running("b", 1).await);
    f.grant(&a, &b).await;
    f.grant(&b, &a).await;
    let top = f.submit(task(&a)).await.unwrap().execution_id;
    f.run(&a, top).await;
    let called = f.submit(call(&a, &b, Some(top))).await.unwrap().execution_id;
    f.run(&b, called).await;
    let back = Submit { waits: Waits::ForTheEnd, ..call(&b, &a, Some(called)) };
    assert_eq!(refusal(f.submit(back.clone()).await), SubmitError::WouldDeadlock.into());
    agents::set_capacity(&f.log, &a, 2, metadata(), clock::now()).await.unwrap();
    f.submit(back).await.unwrap();
}

#[tokio::test]
async fn calls_nest_to_a_bound() {
    let f = Fixture::new().await;
    let a = f.running("a", 32).await;
    let mut parent = f.submit(task(&a)).await.unwrap().execution_id;
    for _ in 0..CALL_DEPTH_MAX {
        f.run(&a, parent).await;
        parent = f.submit(call(&a, &a, Some(parent))).await.unwrap().execution_id;
    }
    f.run(&a, parent).await;
    let too_deep = refusal(f.submit(call(&a, &a, Some(parent))).await);
    assert_eq!(too_deep, SubmitError::TooDeep.into());
}

#[tokio::test]
async fn cancelling_ends_what_waits_and_asks_what_runs() {
    let f = Fixture::new().await;
    let life = f.running("scout", 1).await;
    let first = f.submit(task(&life)).await.unwrap().execution_id;
    let second = f.submit(task(&life)).await.unwrap().execution_id;
    let cancel = async |id| {
        let (reason, urgency) = (CancelReason::Requested, Urgency::Graceful);
        tasks::cancel(&f.log, id, reason, urgency, metadata()).await.map(|answer| answer.0)
    };
    assert_eq!(cancel(second).await.unwrap(), Cancelled::WhileQueued);
    assert_eq!(f.status(second).await, Some(Status::Cancelled));
    let ended = Cancelled::AlreadyFinished(Status::Cancelled);
    assert_eq!(cancel(second).await.unwrap(), ended);
    assert_eq!(cancel(first).await.unwrap(), Cancelled::Requested);
    assert_eq!(f.status(first).await, Some(Status::Pending));
    let unknown = ids::execution_id(None);
    assert!(matches!(refusal(cancel(unknown).await), Refusal::Execution(_)));
}

#[tokio::test]
async fn a_call_follows_from_the_start_of_the_run_that_makes_it() {
    let f = Fixture::new().await;
    let (a, b) = (f.running("a", 1).await, f.running("b", 1).await);
    f.grant(&a, &b).await;
    let parent = f.submit(task(&a)).await.unwrap().execution_id;
    f.run(&a, parent).await;
    let called = f.submit(call(&a, &b, Some(parent))).await.unwrap().execution_id;
    let (requested, by) = f.last("ExecutionRequested", called).await;
    assert_eq!(by, Some(f.last("ExecutionStarted", parent).await.0));
    assert_ne!(by, Some(requested));
}

#[tokio::test]
async fn the_end_of_a_run_follows_from_the_last_request_for_it_whenever_that_came() {
    let f = Fixture::new().await;
    let life = f.running("scout", 1).await;
    let id = f.submit(task(&life)).await.unwrap().execution_id;
    let grant = f.run(&life, id).await;
    let cause = f.cause().await;
    for urgency in [Urgency::Graceful, Urgency::Kill] {
        let reason = CancelReason::Requested;
        tasks::cancel(&f.log, id, reason, urgency, metadata()).await.unwrap();
    }
    let exit = (Verdict::Completed, Outcome::ended(clock::now()));
    // Whoever reports the end knows of no request.
    runs::record_exit(&f.log, grant, exit.0, exit.1, clock::now(), &cause).await.unwrap();
    let (_, by) = f.last("ExecutionCancelled", id).await;
    assert_eq!(by, Some(f.last("CancelRequested", id).await.0));
    let slots = f.log.state::<Slots>(life.incarnation).await.unwrap().state;
    assert_eq!(slots.slot_of(id), None);
}

#[tokio::test]
async fn stopping_closes_admission_in_the_same_append_and_twice_is_once() {
    let f = Fixture::new().await;
    let life = f.running("scout", 1).await;
    let receipt = agents::request_stop(&f.log, &life, metadata()).await.unwrap();
    let names: Vec<_> = receipt.events.iter().map(|recorded| recorded.event.name()).collect();
    assert_eq!(names, ["AgentStopRequested", "AdmissionSuspended"]);
    let again = agents::request_stop(&f.log, &life, metadata()).await.unwrap();
    assert!(again.events.is_empty());
}

#[tokio::test]
async fn a_repeated_creation_is_one_agent_even_after_its_end() {
    let f = Fixture::new().await;
    let name: AgentName = "scout".parse().unwrap();
    let key = ids::IdempotencyKey { caller: "user:7", route: "/api/agents", key: "k" };
    let create = async |body: &str| {
        let create = Create {
            incarnation: ids::incarnation_id(Some(key)),
            owner: owner(),
            is_system: false,
            node_id: None,
            config: AgentConfig::new(name.clone(), Runtime::Demo),
            start: true,
        };
        agents::create(&f.log, create, Vec::new(), with_body(body), clock::now()).await
    };
    let first = create("b").await.unwrap();
    assert_eq!(f.log.head(), first.position);
    let again = create("b").await.unwrap();
    assert_eq!((again.is_replay, again.position), (true, first.position));
    assert_eq!(refusal(create("c").await), SubmitError::KeyReused.into());
    let taken = f.log.state::<Agent>(&name).await.unwrap().state;
    assert_eq!(taken.phase, Phase::Creating);
    agents::request_delete(&f.log, &first.life, metadata()).await.unwrap();
    reports::deleted(&f.log, &first.life, &f.cause().await).await.unwrap();
    assert!(create("b").await.unwrap().is_replay);
    assert_eq!(f.log.state::<Agent>(&name).await.unwrap().state.phase, Phase::Absent);
}

#[tokio::test]
async fn what_was_meant_for_an_earlier_life_changes_nothing() {
    let f = Fixture::new().await;
    let life = f.create("scout", 1).await;
    let earlier = LifeRef { incarnation: IncarnationId(Uuid::now_v7()), ..life };
    let head = f.log.head();
    let stopped = refusal(agents::request_delete(&f.log, &earlier, metadata()).await);
    assert_eq!(stopped, AgentError::NotFound.into());
    assert_eq!(f.log.head(), head);
}
