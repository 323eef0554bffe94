//! Commands on one stream and on several.

use trinity::domain::account::{Account, AccountCommand, AccountError, Role};
use trinity::domain::slots::{Slots, SlotsCommand};
use trinity::domain::{Event, Metadata, StreamId};
use trinity::event_log::{ExecuteError, Invalid, Plan};

use super::support::{TestDb, create_user, make_user, metadata, touch, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_receipted_with_its_place() {
    let db = TestDb::new().await;
    let log = db.open().await;
    let given = metadata();
    let receipt = log.execute::<Account>("ada", create_user("ada"), given.clone()).await.unwrap();
    assert_eq!((receipt.position, receipt.version), (1, 1));
    let receipt = touch(&log, "ada").await;
    assert_eq!((receipt.position, receipt.version), (2, 2));

    // As stored, not as remembered.
    drop(log);
    let log = db.open().await;
    let events = log.stream(&StreamId::of::<Account>("ada"), 0, 10).await.unwrap();
    let names: Vec<_> = events.iter().map(|recorded| recorded.event.name()).collect();
    assert_eq!(names, ["UserCreated", "PasswordChanged"]);
    assert_eq!(events[0].metadata, given);
    assert_eq!(events[1], receipt.events[0]);
    assert_eq!(log.event(2).await.unwrap(), Some(receipt.events[0].clone()));
    assert_eq!(log.event(3).await.unwrap(), None);
    assert_eq!(log.head(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_and_a_no_op_write_nothing() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    let again = log.execute::<Account>("ada", create_user("ada"), metadata()).await;
    assert!(matches!(again, Err(ExecuteError::Refused(AccountError::AlreadyExists))));
    let same = AccountCommand::ChangeRole { role: Role::User };
    let receipt = log.execute::<Account>("ada", same, metadata()).await.unwrap();
    assert_eq!((receipt.position, receipt.version, receipt.events.len()), (1, 1, 0));
    assert_eq!(log.head(), 1);
    db.assert_dense().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_over_several_streams_keeps_the_order_of_its_decisions() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "guard").await;
    let plan = Plan::new().stream::<Slots>("one").stream::<Slots>("two").guard::<Account>("guard");
    let ((), receipt) = log
        .transact(plan, metadata(), |decision| {
            assert!(matches!(*decision.state::<Account>("guard"), Account::User { .. }));
            decision.decide::<Slots>("two", SlotsCommand::SetTimeout { seconds: 60 })?;
            decision.decide::<Slots>("one", SlotsCommand::SetTimeout { seconds: 61 })?;
            decision.decide::<Slots>("two", SlotsCommand::SetTimeout { seconds: 62 })?;
            assert_eq!(decision.version::<Slots>("two"), 2);
            assert_eq!(decision.events().count(), 3);
            Ok::<_, trinity::domain::slots::SlotsError>(())
        })
        .await
        .unwrap();
    let places: Vec<_> = receipt
        .events
        .iter()
        .map(|recorded| (recorded.position, recorded.stream.id.as_str(), recorded.version))
        .collect();
    assert_eq!(places, [(2, "two", 1), (3, "one", 1), (4, "two", 2)]);
    assert_eq!((receipt.position, receipt.version), (4, 1));
    assert_eq!(log.state::<Slots>("two").await.unwrap().version, 2);
    assert!(matches!(receipt.events[0].event, Event::Slots(_)));
    db.assert_dense().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_inside_an_append_undoes_what_was_decided_before_it() {
    let db = TestDb::new().await;
    let log = db.open().await;
    let plan = Plan::new().stream::<Slots>("one").stream::<Account>("nobody");
    let result = log
        .transact(plan, metadata(), |decision| {
            let set = SlotsCommand::SetTimeout { seconds: 60 };
            decision.decide::<Slots>("one", set).unwrap();
            decision.decide::<Account>("nobody", AccountCommand::DeleteUser)
        })
        .await;
    assert!(matches!(result, Err(ExecuteError::Refused(AccountError::NotFound))));
    assert_eq!(log.head(), 0);
    assert_eq!(log.state::<Slots>("one").await.unwrap().version, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outside_the_plan_refuses_the_append() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    let delete = |id: &'static str, plan: Plan| {
        let log = log.clone();
        async move {
            log.transact(plan, metadata(), move |decision| {
                decision.decide::<Account>(id, AccountCommand::DeleteUser)
            })
            .await
        }
    };
    let unplanned = delete("ada", Plan::new().stream::<Account>("bob")).await;
    assert!(matches!(unplanned, Err(ExecuteError::Invalid(Invalid::NotPlanned(_)))));
    let plan = Plan::new().stream::<Account>("bob").guard::<Account>("ada");
    let guard = delete("ada", plan).await;
    assert!(matches!(guard, Err(ExecuteError::Invalid(Invalid::NotPlanned(_)))));
    let empty = delete("ada", Plan::new().guard::<Account>("ada")).await;
    assert!(matches!(empty, Err(ExecuteError::Invalid(Invalid::Plan { .. }))));
    assert_eq!(log.head(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_cancels_nothing() {
    let db = TestDb::new().await;
    let log = db.open().await;
    let mut head = log.watch_head();
    let command = log.execute::<Account>("ada", create_user("ada"), metadata());
    // One poll starts the command; then the caller hangs up.
    tokio::select! { biased; _ = command => {} () = std::future::ready(()) => {} }
    within("the append", head.wait_for(|head| *head == 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_database_would_take_is_refused_before_it_reaches_one() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    let nul = Metadata { actor: "a\0b".to_owned(), ..metadata() };
    let command = AccountCommand::RecordPasswordChanged;
    let result = log.execute::<Account>("ada", command, nul).await;
    assert!(matches!(result, Err(ExecuteError::Invalid(Invalid::NulCharacter(_)))));
    let result = log.execute::<Account>("a\0", create_user("a"), metadata()).await;
    assert!(matches!(result, Err(ExecuteError::Invalid(Invalid::NulCharacter(_)))));
    let endless = "x".repeat(trinity::event_log::STREAM_ID_BYTES_MAX + 1);
    let result = log.execute::<Account>(endless, create_user("a"), metadata()).await;
    assert!(matches!(result, Err(ExecuteError::Invalid(Invalid::TooLarge { .. }))));
    assert_eq!(log.state::<Account>("a\0").await.unwrap().version, 0);
    assert_eq!(touch(&log, "ada").await.position, 2);
}

/// A stream is taken for empty when its id was just made; when it is not, nothing is different.
#[tokio::test(flavor = "multi_thread")]
async fn creating_a_stream_that_is_there_is_decided_on_what_is_there() {
    let db = TestDb::new().await;
    drop(make_user(&db.open().await, "ada").await);
    // Anew each time, so that nothing is remembered of the stream.
    let log = db.open().await;
    let receipt = log.create::<Account>("bob", create_user("bob"), metadata()).await.unwrap();
    assert_eq!((receipt.position, receipt.version), (2, 1));
    assert_eq!(touch(&log, "bob").await.version, 2);
    let again = log.create::<Account>("ada", create_user("ada"), metadata()).await;
    assert!(matches!(again, Err(ExecuteError::Refused(AccountError::AlreadyExists))));

    let log = db.open().await;
    let refused_when_empty = AccountCommand::RecordPasswordChanged;
    let receipt = log.create::<Account>("ada", refused_when_empty, metadata()).await.unwrap();
    assert_eq!((receipt.position, receipt.version), (4, 2));

    let log = db.open().await;
    let plan = Plan::new().create::<Account>("ada").stream::<Slots>("s");
    let result = log
        .transact(plan, metadata(), |decision| {
            decision.decide::<Slots>("s", SlotsCommand::SetTimeout { seconds: 60 }).unwrap();
            decision.decide::<Account>("ada", create_user("ada"))
        })
        .await;
    assert!(matches!(result, Err(ExecuteError::Refused(AccountError::AlreadyExists))));
    db.assert_dense().await;
}
