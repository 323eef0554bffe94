//! The event log, and the clock against it.

use chrono::{DateTime, TimeDelta, Utc};

use super::Check;
use crate::clock;
use crate::config::Config;
use crate::event_log::{InspectError, Inspection, inspect_postgres, inspect_sqlite};

/// How far the clock may be behind the last event: two machines never quite agree.
const CLOCK_BEHIND_MAX: TimeDelta = TimeDelta::seconds(1);

/// Looks at the log where the settings say it is.
pub(super) async fn look(config: &Config) -> Vec<Check> {
    let name = "event log";
    let inspected = if let Some(url) = &config.database_url {
        inspect_postgres(url.expose()).await
    } else {
        let path = config.data_dir.join("log.db");
        if !path.exists() {
            let detail = format!("there is no log at {} yet", path.display());
            return vec![Check::warn(name, detail, "trinity serve")];
        }
        match tokio::task::spawn_blocking(move || inspect_sqlite(&path)).await {
            Ok(inspected) => inspected,
            Err(error) => return vec![Check::fail(name, error.to_string(), "look again")],
        }
    };
    match inspected {
        Ok(found) => {
            let clock = found.head.as_ref().map(|head| clock_check(head.recorded_at, clock::now()));
            [schema(&found)].into_iter().chain(clock).collect()
        }
        Err(error) => vec![unreachable(config, &error)],
    }
}

fn unreachable(config: &Config, error: &InspectError) -> Check {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let detail = format!("{error}{}", cause.unwrap_or_default());
    let hint = if config.database_url.is_some() {
        "check --database-url, and that the database runs"
    } else {
        "run as the server's user; if the file is broken, restore it from a backup"
    };
    Check::fail("event log", detail, hint)
}

fn schema(found: &Inspection) -> Check {
    let name = "event log";
    let Inspection { engine, schema, schema_known, head } = found;
    let end = match head {
        Some(head) => format!("log {} ends at position {}", head.log_id, head.position),
        None => "the log is not begun".to_owned(),
    };
    let detail = format!("{engine}, schema {schema} of {schema_known}; {end}");
    if schema > schema_known {
        return Check::fail(name, detail, "a newer build wrote it; run that one");
    }
    Check::ok(name, detail)
}

/// Compares the clock with when the last event was recorded, which never steps back.
fn clock_check(recorded_at: DateTime<Utc>, now: DateTime<Utc>) -> Check {
    let name = "clock";
    let behind = recorded_at - now;
    if behind <= CLOCK_BEHIND_MAX {
        return Check::ok(name, "the clock is not behind the last event");
    }
    let detail = format!(
        "the clock is {} s behind the last event: it was set back, or was ahead then",
        behind.num_seconds()
    );
    Check::warn(name, detail, "check the time: timedatectl")
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_seen() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        assert_eq!(clock_check(now - TimeDelta::days(3), now).status, Status::Ok);
        assert_eq!(clock_check(now + TimeDelta::milliseconds(900), now).status, Status::Ok);
        let check = clock_check(now + TimeDelta::hours(1), now);
        assert_eq!(check.status, Status::Warn);
        assert!(check.detail.contains("3600 s"), "{}", check.detail);
    }

    #[test]
    fn a_log_of_a_newer_build_is_a_failure() {
        let mut found =
            Inspection { engine: "SQLite 3".into(), schema: 1, schema_known: 1, head: None };
        assert_eq!(schema(&found).status, Status::Ok);
        found.schema = 2;
        assert_eq!(schema(&found).status, Status::Fail);
    }
}
