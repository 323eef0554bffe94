//! The Redis that copies are kept in, where there is one.

use std::time::Duration;

use super::Check;
use crate::config::Config;
use crate::redis::{Description, Redis};

/// What is asked there is asked before a run starts: when an answer takes longer, the database is faster.
const ANSWER_SLOW: Duration = Duration::from_millis(50);

const NAME: &str = "redis";

/// Asks Redis for an answer and its version.
pub(super) async fn look(config: &Config) -> Option<Check> {
    let url = config.redis_url.as_ref()?;
    let redis = match Redis::open(url, "trinity:doctor") {
        Ok(redis) => redis,
        Err(error) => {
            let hint = "name it by redis://USER:PASSWORD@HOST:PORT/, see --redis-url";
            return Some(Check::fail(NAME, format!("{error:#}"), hint));
        }
    };
    let described = redis.describe().await;
    Some(described.map_or_else(|error| away(&error.to_string()), |found| answered(&found)))
}

/// The server does without it.
fn away(error: &str) -> Check {
    let hint = "check --redis-url, and that Redis runs; the database answers meanwhile";
    Check::warn(NAME, format!("Redis does not answer: {error}"), hint)
}

fn answered(found: &Description) -> Check {
    let version = found.version.as_deref().unwrap_or("of an unknown version");
    let detail =
        format!("Redis {version} answers after {:.1} ms", found.answer_time.as_secs_f64() * 1e3);
    if found.answer_time < ANSWER_SLOW {
        return Check::ok(NAME, detail);
    }
    Check::warn(NAME, detail, "use one that is nearer, or none: the database is read at once")
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_slow_answer_warns() {
        let mut found = Description { version: Some("7.0.15".into()), answer_time: Duration::ZERO };
        assert_eq!(answered(&found).status, Status::Ok);
        found.answer_time = ANSWER_SLOW;
        found.version = None;
        let slow = answered(&found);
        assert_eq!(slow.status, Status::Warn);
        assert!(slow.detail.contains("unknown version answers after 50.0 ms"), "{}", slow.detail);
    }

    #[test]
    fn without_redis_the_server_works_and_one_is_told() {
        let check = away("Connection refused");
        assert_eq!(check.status, Status::Warn);
        assert!(check.detail.contains("Connection refused"), "{}", check.detail);
    }
}
