//! The proofs over a log: silent on what the platform writes, loud on what it never would.

mod corruptions;
mod fleet;
mod history;
mod outcomes;
mod random;
mod tamper;

use trinity::audit::{Invariant, Options, Report, Source, verify};

use crate::event_log::support::{Engine, TestDb};

/// Where the audit finds the log of a test.
fn source(db: &TestDb) -> Source {
    match db.engine {
        Engine::Sqlite => Source::Sqlite(db.path()),
        Engine::Postgres => Source::Postgres(db.url().to_owned()),
    }
}

async fn audit(db: &TestDb) -> Report {
    verify(&source(db), Options::default()).await.unwrap()
}

#[track_caller]
fn assert_clean(report: &Report) {
    let violated: Vec<_> = report.violated().collect();
    assert!(report.is_clean(), "{violated:#?}");
}

#[tokio::test]
async fn a_log_with_everything_in_it_is_clean_and_every_invariant_was_checked() {
    let db = history::build().await;
    let report = audit(&db).await;
    assert_clean(&report);
    for invariant in Invariant::ALL {
        let checked = report.check(*invariant).unwrap().checked;
        assert!(checked > 0, "{} was never checked", invariant.code());
    }
    assert!(report.open_executions >= 2, "runs that are still open are no violation");
    assert_eq!(i64::try_from(report.events).unwrap(), report.position);
}
