//! Reading in order: pages, replay, the live end.

use std::pin::pin;

use futures::StreamExt;
use trinity::event_log::LogError;

use super::support::{make_user, on_both_engines, touch, within};

on_both_engines! {
    async fn a_subscription_replays_and_goes_on_live_without_gap_or_repeat(db: TestDb) {
        const REPLAYED: i64 = 300;
        const LIVE: i64 = 300;
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
}

on_both_engines! {
    async fn a_hole_is_an_error_and_never_skipped(db: TestDb) {
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
}

on_both_engines! {
    async fn a_position_beyond_the_log_is_told_from_one_that_is_late(db: TestDb) {
        let log = db.open().await;
        make_user(&log, "ada").await;
        let mut feed = pin!(log.subscribe(7));
        let first = within("the error", feed.next()).await.unwrap();
        assert!(matches!(first, Err(LogError::BeyondHead { after: 7, head: 1 })));
        assert!(log.after(7, 10).await.unwrap().is_empty());
    }
}
