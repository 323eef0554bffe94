//! Reading in order: pages, replay, the live end.

use std::pin::pin;

use futures::StreamExt;
use trinity::domain::account::{Account, AccountCommand};
use trinity::event_log::{APPEND_EVENTS_MAX, LogError, Plan, RING_EVENTS_MAX};

use super::support::{TestDb, make_user, metadata, touch, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_replays_and_goes_on_live_without_gap_or_repeat() {
    const REPLAYED: i64 = 300;
    const LIVE: i64 = 300;
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    for _ in 1..REPLAYED {
        touch(&log, "ada").await;
    }
    // Reopened, so that nothing of the past is in memory.
    drop(log);
    let log = db.open().await;
    let mut from_start = pin!(log.subscribe(0));
    let mut from_middle = pin!(log.subscribe(REPLAYED / 2));
    let writer = tokio::spawn({
        let log = log.clone();
        async move {
            for _ in 0..LIVE {
                touch(&log, "ada").await;
            }
        }
    });
    for position in 1..=REPLAYED + LIVE {
        let event = within("the event", from_start.next()).await.unwrap().unwrap();
        assert_eq!(event.position, position);
    }
    for position in REPLAYED / 2 + 1..=REPLAYED + LIVE {
        let event = within("the event", from_middle.next()).await.unwrap().unwrap();
        assert_eq!(event.position, position);
    }
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_an_error_and_never_skipped() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    for _ in 0..5 {
        touch(&log, "ada").await;
    }
    drop(log);
    db.run("DELETE FROM events WHERE position = 3").await;
    let log = db.open().await;
    assert!(matches!(log.after(0, 10).await, Err(LogError::Hole { expected: 3 })));
    assert_eq!(log.after(3, 10).await.unwrap().len(), 3);
    let mut feed = pin!(log.subscribe(1));
    let first = within("the error", feed.next()).await.unwrap();
    assert!(matches!(first, Err(LogError::Hole { expected: 3 })));
    assert!(feed.next().await.is_none());

    db.run("DELETE FROM events WHERE position >= 4").await;
    assert!(matches!(log.after(4, 10).await, Err(LogError::Hole { expected: 5 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_beyond_the_log_is_told_from_one_that_is_late() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    let mut feed = pin!(log.subscribe(7));
    let first = within("the error", feed.next()).await.unwrap();
    assert!(matches!(first, Err(LogError::BeyondHead { after: 7, head: 1 })));
    assert!(log.after(7, 10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_found_before_this_node_has_heard_of_it() {
    const EVENTS: usize = 50;
    let db = TestDb::new().await;
    let (writer, reader) = (db.open().await, db.open().await);
    make_user(&writer, "ada").await;
    for _ in 0..EVENTS {
        let receipt = touch(&writer, "ada").await;
        let found = reader.event(receipt.position).await.unwrap();
        assert_eq!(found, Some(receipt.events[0].clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_misses_and_repeats_nothing_when_the_memory_has_moved_on() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    let mut slow = pin!(log.subscribe(0));
    assert_eq!(slow.next().await.unwrap().unwrap().position, 1);
    let mut appended = 1;
    while appended <= RING_EVENTS_MAX + 1 {
        let plan = Plan::new().stream::<Account>("ada");
        let ((), receipt) = log
            .transact(plan, metadata(), |decision| {
                (0..APPEND_EVENTS_MAX).try_for_each(|_| {
                    decision.decide::<Account>("ada", AccountCommand::RecordPasswordChanged)
                })
            })
            .await
            .unwrap();
        appended += receipt.events.len();
    }
    for position in 2..=i64::try_from(appended).unwrap() {
        let event = within("the event", slow.next()).await.unwrap().unwrap();
        assert_eq!(event.position, position);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_time_never_steps_back() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    // The clock was far ahead once.
    let ahead = 4_102_444_800_000_000; // 2100-01-01
    db.run(&format!("UPDATE event_log_head SET recorded_at = {ahead}")).await;
    let receipt = touch(&log, "ada").await;
    assert_eq!(receipt.events[0].recorded_at.timestamp_micros(), ahead);
    db.assert_dense().await;
}
