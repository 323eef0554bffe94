//! The read models: whether they can be used, and how far they have got in the log.

use std::path::Path;

use rusqlite::ErrorCode;

use super::Check;
use super::store::{tables, unreadable};
use crate::event_log::{Head, InspectError};
use crate::projections;
use crate::projections::inspect::{Inspection, Reached};

/// The name of the check.
pub(super) const NAME: &str = "read models";

/// What to do about read models that the next start makes by itself.
const START: &str = "start the server, or start it again: trinity serve";

/// What was found in their file; none is missing before the log is begun.
pub(super) fn of_file(
    path: &Path,
    found: Option<Result<Inspection, InspectError>>,
    log: Option<&Head>,
) -> Option<Check> {
    let file = path.display();
    Some(match found {
        None => {
            log?;
            let detail = format!("{file} is missing; a start makes it from the log");
            Check::warn(NAME, detail, START)
        }
        Some(Ok(found)) => check(&format!("{} has", projections::FILE), &found, log),
        Some(Err(error)) if is_damaged(&error) => {
            let detail = format!("{file} is damaged; a start makes it again from the log");
            Check::warn(NAME, detail, START)
        }
        Some(Err(error)) => {
            let hint =
                "run as the server's user; if the file is broken, delete it: it is made again";
            unreadable(NAME, &error, hint)
        }
    })
}

/// Compares the read models with the log, which was looked at after them and so is never behind.
pub(super) fn check(place: &str, found: &Inspection, log: Option<&Head>) -> Check {
    if found.schema.found == 0 && log.is_some() {
        let detail = format!("{place} no tables of read models; a start makes them from the log");
        return Check::warn(NAME, detail, START);
    }
    let tables = tables(NAME, place, found.schema);
    let (Some(Reached { log_id, first, last }), Some(log)) = (&found.reached, log) else {
        return tables;
    };
    let detail = tables.detail;
    let again = "a start makes the read models again";
    let restored = "if the log is the right one, start the server; else restore its newest backup";
    if let Some(other) = log_id.as_ref().filter(|log_id| **log_id != log.log_id) {
        let detail = format!("{detail}; they are of log {other}, not {}: {again}", log.log_id);
        return Check::warn(NAME, detail, restored);
    }
    let head = log.position;
    if *last > head {
        let detail = format!("{detail}; they have got to position {last}, the log to {head}");
        return Check::warn(NAME, format!("{detail}: {again}"), restored);
    }
    // One that is behind is no fault: a server goes on with it by itself.
    Check::ok(NAME, format!("{detail}; they have got to position {first} of {head}"))
}

/// Whether a start throws the file away.
fn is_damaged(error: &InspectError) -> bool {
    let InspectError::Sqlite(_, error) = error else { return false };
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::Status;
    use super::*;
    use crate::event_log::SchemaVersion;

    fn status(log_id: &str, first: i64, last: i64) -> Status {
        let reached = Some(Reached { log_id: Some(log_id.to_owned()), first, last });
        let found = Inspection { schema: SchemaVersion { found: 1, known: 1 }, reached };
        let recorded_at = DateTime::UNIX_EPOCH;
        let log = Head { log_id: "this".to_owned(), position: 40, recorded_at };
        check("the tables have", &found, Some(&log)).status
    }

    #[test]
    fn a_read_model_may_be_behind_the_log_and_not_ahead_of_it() {
        assert_eq!(status("this", 40, 40), Status::Ok);
        assert_eq!(status("this", 0, 40), Status::Ok);
        assert_eq!(status("this", 40, 41), Status::Warn);
    }

    #[test]
    fn a_log_without_read_models_wants_a_start_on_either_store() {
        let schema = SchemaVersion { found: 0, known: 1 };
        let found = Inspection { schema, reached: None };
        let log =
            Head { log_id: "this".to_owned(), position: 40, recorded_at: DateTime::UNIX_EPOCH };
        for place in ["views.db has", "Postgres has"] {
            assert_eq!(check(place, &found, Some(&log)).status, Status::Warn);
            assert_eq!(check(place, &found, None).status, Status::Ok, "before the first start");
        }
    }

    #[test]
    fn read_models_of_another_log_are_told_apart() {
        assert_eq!(status("another", 1, 2), Status::Warn);
    }
}
