//! One log with everything in it that the platform writes.

use chrono::TimeDelta;
use trinity::clock;
use trinity::commands::accounts::{self, NewKey};
use trinity::domain::account::{Account, AccountCommand, Role, Scope};
use trinity::domain::agent::{ObservedStatus, RevokeReason, Setting};
use trinity::domain::execution::{ErrorClass, ExecutionCommand, Request, Verdict};

use super::fleet::{Fleet, by_user, owner, task};
use crate::event_log::support::TestDb;

/// How far in the past the first part of the history lies, in seconds: longer than a slot lives.
const HOUR_SECONDS: i64 = 3_600;

/// Builds the log and leaves nobody with it open.
pub async fn build() -> TestDb {
    let db = TestDb::new().await;
    let log = db.open().await;
    let past = clock::now() - TimeDelta::seconds(HOUR_SECONDS);
    let mut fleet = Fleet { log, now: past };
    accounts_and_keys(&fleet).await;
    let silent = silent_run(&fleet).await;
    // What was just written is moved to where its clock was.
    db.run(&format!(
        "UPDATE events SET recorded_at = recorded_at - {0}; \
         UPDATE event_log_head SET recorded_at = recorded_at - {0};",
        HOUR_SECONDS * 1_000_000
    ))
    .await;
    fleet.now = clock::now();
    fleet.expire(silent).await;
    fleet.complete(silent).await;

    runs_and_queue(&fleet).await;
    calls(&fleet).await;
    lives(&fleet).await;
    still_open(&fleet).await;
    fleet.log.close().await;
    db
}

async fn accounts_and_keys(fleet: &Fleet) {
    let log = &fleet.log;
    for (name, role) in [("ada", Role::Admin), ("bob", Role::User), ("eve", Role::User)] {
        accounts::create_user(log, name.into(), role, by_user()).await.unwrap();
    }
    let promote = AccountCommand::ChangeRole { role: Role::Admin };
    let bob = trinity::commands::ids::user_id("bob");
    log.execute::<Account>(bob, promote, by_user()).await.unwrap();
    let password = AccountCommand::RecordPasswordChanged;
    log.execute::<Account>(bob, password, by_user()).await.unwrap();
    accounts::delete_user(log, trinity::commands::ids::user_id("eve"), by_user()).await.unwrap();
    let key = NewKey {
        name: "ci".into(),
        description: None,
        owner: owner(),
        scope: Scope::User,
        agent: None,
        expires_at: None,
    };
    let issued = accounts::issue_key(log, key, by_user()).await.unwrap();
    accounts::revoke_key(log, issued.id, by_user()).await.unwrap();
}

/// A run of which nothing is heard any more; its slot is due by now.
async fn silent_run(fleet: &Fleet) -> trinity::domain::ExecutionId {
    let life = fleet.running("silent", 1).await;
    let id = fleet.task(&life).await;
    fleet.dispatch(id).await;
    fleet.task(&life).await;
    id
}

async fn runs_and_queue(fleet: &Fleet) {
    let life = fleet.running("scout", 2).await;
    let first = fleet.task(&life).await;
    let chat = fleet.chat(&life).await;
    let second_chat = fleet.chat(&life).await;
    let asking = Request { timeout_seconds: Some(30), ..task(&life) };
    let third = fleet.submit(asking, None).await.unwrap().execution_id;
    let unwanted = fleet.task(&life).await;
    fleet.dispatch(first).await;
    let session = ExecutionCommand::RecordSession {
        claude_session_id: "s".into(),
        model_used: Some("demo".into()),
        cli_version: None,
    };
    fleet.tell(first, session).await;
    fleet.tools(first, 3).await;
    fleet.cancel(unwanted).await;
    fleet.complete(first).await; // the third passes the second chat turn
    fleet.dispatch(chat).await;
    fleet.cancel(chat).await;
    fleet
        .tell(chat, ExecutionCommand::RecordInterruptSent { at: fleet.now, grace_ms: Some(5_000) })
        .await;
    fleet.tell(chat, ExecutionCommand::RecordKillSent { at: fleet.now }).await;
    fleet.tell(chat, ExecutionCommand::RecordContactLost { since: fleet.now }).await;
    fleet.tell(chat, ExecutionCommand::RecordContactRegained { at: fleet.now }).await;
    fleet.complete(chat).await;
    let removed = ExecutionCommand::RecordTranscriptRemoved {
        lines: 3,
        bytes: 120,
        retention_days: 30,
        at: fleet.now,
    };
    fleet.tell(chat, removed).await;
    fleet.regrant(third).await;
    fleet.dispatch(third).await;
    let error = "exit code 3".to_owned();
    fleet.exit(third, Verdict::Failed { class: ErrorClass::Exit, error }).await;
    fleet.cancel(second_chat).await;
    fleet.never_started(second_chat).await;

    let ids = [fleet.task(&life).await, fleet.task(&life).await, fleet.task(&life).await];
    fleet.set_capacity(&life, 3).await;
    fleet.set_capacity(&life, 1).await;
    fleet.set_timeout(&life, 90).await;
    fleet.set_timeout(&life, 60).await;
    for id in ids {
        fleet.dispatch(id).await;
        fleet.complete(id).await;
    }
}

async fn calls(fleet: &Fleet) {
    let (lead, helper) = (fleet.running("lead", 2).await, fleet.running("helper", 1).await);
    fleet.grant(&lead, &helper).await;
    let parent = fleet.task(&lead).await;
    fleet.dispatch(parent).await;
    let child = fleet.call(&lead, &helper, Some(parent)).await.unwrap();
    let late = fleet.call(&lead, &helper, None).await.unwrap();
    fleet.dispatch(child).await;
    let own = fleet.call(&lead, &lead, Some(parent)).await.unwrap();
    fleet.dispatch(own).await;
    let reason = RevokeReason::Requested;
    fleet.set(&lead, Setting::Revoke { callee: helper.name.clone(), reason }).await;
    assert_eq!(fleet.call(&lead, &helper, None).await, None, "refused without the grant");
    fleet.complete(child).await;
    fleet.dispatch(late).await; // rejected: the grant is gone
    let by_key = fleet.order(&helper).await;
    fleet.dispatch(by_key).await;
    fleet.complete(by_key).await;
    let system = fleet.running("trinity-system", 1).await;
    let ordered = fleet.call(&system, &helper, None).await.unwrap();
    fleet.dispatch(ordered).await;
    for id in [ordered, own, parent] {
        fleet.complete(id).await;
    }
}

async fn lives(fleet: &Fleet) {
    let life = fleet.running("phoenix", 1).await;
    let (run, waiting) = (fleet.task(&life).await, fleet.task(&life).await);
    fleet.dispatch(run).await;
    fleet.observe(&life, ObservedStatus::Paused).await;
    fleet.observe(&life, ObservedStatus::Running).await;
    fleet.observe(&life, ObservedStatus::Stopped).await;
    fleet.lose(run).await;
    fleet.start(&life).await; // what waits goes on
    fleet.dispatch(waiting).await;
    fleet.request_stop(&life).await;
    fleet.cancel(waiting).await;
    fleet.complete(waiting).await;
    fleet.stopped(&life).await;
    fleet.request_start(&life).await;
    fleet.start(&life).await;
    let (_run, _queued) = (fleet.task(&life).await, fleet.task(&life).await);
    fleet.delete(&life).await;
    let next = fleet.running("phoenix", 1).await;
    for _ in 0..6 {
        fleet.observe(&next, ObservedStatus::Stopped).await; // the sixth is one too many
        fleet.start(&next).await;
    }
}

/// One run that goes on, and two entries that wait.
async fn still_open(fleet: &Fleet) {
    let life = fleet.running("busy", 1).await;
    let run = fleet.task(&life).await;
    fleet.dispatch(run).await;
    fleet.task(&life).await;
    fleet.task(&life).await;
}
