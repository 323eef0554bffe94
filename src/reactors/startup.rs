//! The agent's own `startup.sh`: once per start, in its workspace, before anything else runs there.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use trinity_agent_protocol::{ErrorCode, Exit, Info, Masks, StartRequest, StopReason};

use super::look::Look;
use super::{chain, credentials, dispatch};
use crate::gateway;
use crate::hosts::link::{self, Link};
use crate::hosts::{STARTUP_RUN_PREFIX, errand, startup_run};
use crate::vault::Credentials;

/// How long the agent's own `startup.sh` may take.
const TIMEOUT: Duration = Duration::from_mins(2);
/// How much longer than a timeout and the grace its deadline is: nothing waits for the slot.
const SUPERVISOR_MARGIN: Duration = Duration::from_secs(30);
/// How often a started script is asked for its end.
const POLL: Duration = Duration::from_millis(100);
/// How much of a script's last words an event keeps, in bytes.
const ERROR_BYTES_MAX: usize = 2 * 1024;

/// Why the script has not ended well.
#[derive(Debug)]
pub(super) enum Failed {
    /// It failed, or could not be run; this is what it said.
    Script(String),
    /// Whoever was to run it gave no answer.
    Silence(link::Error),
}

impl From<String> for Failed {
    fn from(error: String) -> Self {
        Self::Script(error)
    }
}

impl From<link::Error> for Failed {
    fn from(error: link::Error) -> Self {
        if error.is_silence() { Self::Silence(error) } else { Self::Script(chain(&error)) }
    }
}

/// Runs the script, if there is one, unless this life of the agent server has seen it end well: an
/// agent that was frozen goes on.
pub(super) async fn run(
    look: &Look<'_>,
    info: &Info,
    credentials: &Credentials,
) -> Result<(), Failed> {
    dispatch::check_writes_are_held(look.life, info)?;
    let id = startup_run(info);
    start(look, request(look, info, credentials), &id).await?;
    let exit = until_ended(look.link, &id).await?;
    if let Some(error) = error_of(&exit) {
        // So that the next attempt is one.
        look.link.delete(&id).await?;
        return Err(Masks::new(credentials.masked()).text(&error).into_owned().into());
    }
    Ok(forget_earlier(look.link, &id).await?)
}

/// Starts the script; an attempt that failed and was forgotten is followed by one of the next epoch.
async fn start(look: &Look<'_>, mut request: StartRequest, id: &str) -> Result<(), link::Error> {
    loop {
        match look.link.start(id, &request).await {
            Err(link::Error::Refused(body)) if body.code == ErrorCode::Tombstone => {
                request.epoch = request.epoch.max(body.epoch.unwrap_or_default()) + 1;
            }
            started => return started.map(drop),
        }
    }
}

fn request(look: &Look<'_>, info: &Info, credentials: &Credentials) -> StartRequest {
    let context = look.context;
    let grace = Duration::from_millis(context.grace_ms);
    let adapter = context.adapters.get(look.life.config.runtime).as_ref();
    let script = "test ! -e startup.sh || exec sh ./startup.sh";
    StartRequest {
        epoch: 1,
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: errand::surroundings(info, &context.path),
        stdin: String::new(),
        files: Vec::new(),
        // What an earlier start has written may still be in the workspace; what is not given to the
        // agent is not told to it here either.
        masked: credentials::masked(&gateway::given(adapter.model_api(), info, credentials).0),
        cwd: None,
        timeout_ms: millis(TIMEOUT),
        grace_ms: context.grace_ms,
        deadline: after(context.log.now(), TIMEOUT + grace + SUPERVISOR_MARGIN),
        uid: None,
        gid: None,
        allow_new_privileges: dispatch::may_gain_privileges(look.life, info),
        writable_folders: dispatch::writable_folders(look.life),
    }
}

async fn until_ended(link: &Link, id: &str) -> Result<Exit, Failed> {
    loop {
        let status = link.status(id).await?;
        match status.map(|status| (status.exit, status.state)) {
            Some((Some(exit), _)) => return Ok(exit),
            Some((None, state)) if !state.is_final() => tokio::time::sleep(POLL).await,
            Some((None, _)) | None => {
                return Err("the agent server has no trace of startup.sh".to_owned().into());
            }
        }
    }
}

/// Forgets the scripts of earlier lives of the agent server.
async fn forget_earlier(link: &Link, current: &str) -> Result<(), link::Error> {
    for status in link.executions().await? {
        if status.id != current
            && status.id.starts_with(STARTUP_RUN_PREFIX)
            && status.state.is_final()
        {
            link.delete(&status.id).await?;
        }
    }
    Ok(())
}

fn error_of(exit: &Exit) -> Option<String> {
    let how = match (exit.stop_reason, exit.code, exit.signal) {
        (Some(StopReason::Timeout), ..) => {
            format!("took longer than {} s", TIMEOUT.as_secs())
        }
        (_, Some(0), _) => return None,
        (_, Some(code), _) => format!("exited with code {code}"),
        (_, None, Some(signal)) => format!("was ended by signal {signal}"),
        (_, None, None) => "ended in an unknown way".to_owned(),
    };
    let words = exit.stderr_tail.trim();
    let from = words.ceil_char_boundary(words.len().saturating_sub(ERROR_BYTES_MAX));
    Some(format!("startup.sh {how}: {}", &words[from..]).trim_end_matches([':', ' ']).to_owned())
}

/// Whole milliseconds of a duration that is known to be short.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time `wait` after `now`.
fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait)).unwrap_or(now)
}
