//! The event log, the clock against it, and the state and the read models beside it.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Check, views};
use crate::clock;
use crate::config::Config;
use crate::event_log::{
    InspectError, Inspection, SchemaVersion, inspect_postgres, inspect_sqlite, version_sqlite,
    versions_postgres,
};
use crate::projections;
use crate::projections::inspect as read_models;
use crate::state::STORES;

/// How far the clock may be behind the last event: two machines never quite agree.
const CLOCK_BEHIND_MAX: TimeDelta = TimeDelta::seconds(1);

/// What to do about a file that a later build has written.
const NEWER: &str = "a newer build wrote it; run that one";

/// Looks at the log, the state and the read models where the settings say they are.
pub(super) async fn look(config: &Config) -> Vec<Check> {
    if let Some(url) = &config.database_url {
        return look_at_database(url.expose()).await;
    }
    let dir = config.data_dir.clone();
    match tokio::task::spawn_blocking(move || look_at_files(&dir)).await {
        Ok(checks) => checks,
        Err(error) => vec![Check::fail("event log", error.to_string(), "look again")],
    }
}

async fn look_at_database(url: &str) -> Vec<Check> {
    let hint = "check --database-url, and that the database runs";
    // Before the log, which a server that runs writes first.
    let found_views = match read_models::inspect_postgres(url).await {
        // Nor would it answer what is asked next.
        Err(error @ InspectError::Silent) => return vec![unreadable("event log", &error, hint)],
        found => found,
    };
    let found = match inspect_postgres(url).await {
        Ok(found) => found,
        Err(error) => return vec![unreadable("event log", &error, hint)],
    };
    let mut checks = log_checks(&found);
    let all = STORES.map(|(_, migrations)| migrations);
    match versions_postgres(url, &all).await {
        Ok(versions) => {
            let named = all.iter().map(|migrations| migrations.component).zip(versions);
            checks.extend(named.map(|(name, version)| tables(name, "the tables have", version)));
        }
        Err(error) => checks.push(unreadable("state", &error, hint)),
    }
    checks.push(match found_views {
        Ok(views) => views::check("the database has", &views, found.head.as_ref()),
        Err(error) => unreadable(views::NAME, &error, hint),
    });
    checks
}

/// Looks at each file by itself, so that all that are broken are named.
fn look_at_files(dir: &Path) -> Vec<Check> {
    let hint = "run as the server's user; if the file is broken, restore it from a backup";
    let views_file = dir.join(projections::FILE);
    // Before the log, which a server that runs writes first.
    let found_views = views_file.exists().then(|| read_models::inspect_sqlite(&views_file));
    let log = dir.join("log.db");
    let has_log = log.exists();
    let mut head = None;
    let mut checks = match has_log.then(|| inspect_sqlite(&log)) {
        None => {
            let detail = format!("there is no log at {} yet", log.display());
            vec![Check::warn("event log", detail, "trinity serve")]
        }
        Some(Ok(found)) => {
            let checks = log_checks(&found);
            head = found.head;
            checks
        }
        Some(Err(error)) => vec![unreadable("event log", &error, hint)],
    };
    for (file, migrations) in STORES {
        let (name, path) = (migrations.component, dir.join(file));
        match path.exists().then(|| version_sqlite(&path, &migrations)) {
            // Before the first start nothing is missing.
            None if !has_log => {}
            None => {
                let detail = format!("{} is missing; a start makes an empty one", path.display());
                checks.push(Check::warn(name, detail, "restore it from a backup"));
            }
            Some(Ok(version)) if has_log && version.found == 0 => {
                let detail = format!("{} has no tables; a start makes them", path.display());
                checks.push(Check::warn(name, detail, "restore it from a backup"));
            }
            Some(Ok(version)) => checks.push(tables(name, &format!("{file} has"), version)),
            Some(Err(error)) => checks.push(unreadable(name, &error, hint)),
        }
    }
    checks.extend(views::of_file(&views_file, found_views, head.as_ref()));
    checks
}

fn log_checks(found: &Inspection) -> Vec<Check> {
    let clock = found.head.as_ref().map(|head| clock_check(head.recorded_at, clock::now()));
    [schema(found)].into_iter().chain(clock).collect()
}

pub(super) fn unreadable(name: &'static str, error: &InspectError, hint: &str) -> Check {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    Check::fail(name, format!("{error}{}", cause.unwrap_or_default()), hint)
}

pub(super) fn tables(name: &'static str, place: &str, version: SchemaVersion) -> Check {
    let SchemaVersion { found, known } = version;
    let detail = format!("{place} schema {found} of {known}");
    if found > known { Check::fail(name, detail, NEWER) } else { Check::ok(name, detail) }
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
        return Check::fail(name, detail, NEWER);
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
