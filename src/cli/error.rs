//! How a command fails: what it says, what to try next, and the exit code.

use std::io;
use std::process::ExitCode;

use serde::Deserialize;
use uuid::Uuid;

use super::text::clean;

/// What a command of the client gives back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The exit codes beside 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The execution, or what was asked for, failed.
    Failed = 1,
    /// The input cannot be meant.
    Usage = 2,
    /// The server does not know the caller, or does not let it.
    Auth = 3,
    /// There is no such thing.
    NotFound = 4,
    /// The state of things does not allow it now.
    Conflict = 5,
    /// It goes on, and the time to wait for it is over.
    TimedOut = 6,
    /// No server answered.
    Unreachable = 8,
    /// The user pressed Ctrl-C.
    Interrupted = 130,
}

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// With words for the user.
    #[error("{}", .0.detail)]
    Message(Box<Message>),
    /// The reader of the output has gone, as `head` does; nobody is left to tell.
    #[error("the output is closed")]
    OutputClosed,
}

/// What the user is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The exit code.
    pub exit: Exit,
    /// What happened.
    pub detail: String,
    /// What to do about it: sentences and commands.
    pub hints: Vec<String>,
    /// The server's word for the problem, if the server answered.
    pub code: Option<String>,
}

impl Error {
    /// A failure with its words.
    pub fn new(exit: Exit, detail: impl Into<String>) -> Self {
        Self::Message(Box::new(Message {
            exit,
            detail: detail.into(),
            hints: Vec::new(),
            code: None,
        }))
    }

    /// A failure in the words of its causes; what one of them has told already is not told twice.
    pub fn of(exit: Exit, error: &anyhow::Error) -> Self {
        let mut detail = String::new();
        for cause in error.chain().map(ToString::to_string) {
            if detail.is_empty() {
                detail = cause;
            } else if !detail.ends_with(&cause) {
                detail.extend([": ", &cause]);
            }
        }
        Self::new(exit, detail)
    }

    /// The same failure with one more thing to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Message(message) = &mut self {
            message.hints.push(hint.into());
        }
        self
    }

    /// The exit code, where there is somebody to tell.
    pub fn exit(&self) -> Option<Exit> {
        match self {
            Self::Message(message) => Some(message.exit),
            Self::OutputClosed => None,
        }
    }

    /// The server's word for the problem.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Message(message) => message.code.as_deref(),
            Self::OutputClosed => None,
        }
    }

    /// Tells the user on standard error and gives the exit code.
    pub fn report(&self) -> ExitCode {
        let Self::Message(message) = self else { return ExitCode::SUCCESS };
        if message.exit != Exit::Interrupted {
            let label = console::style("error:").for_stderr().red().bold();
            eprintln!("{label} {}", clean(&message.detail));
        }
        for hint in &message.hints {
            let label = console::style("hint:").for_stderr().cyan();
            eprintln!("{label} {}", clean(hint));
        }
        ExitCode::from(message.exit as u8)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::new(Exit::Failed, format!("cannot write the output: {error}")),
        }
    }
}

/// The body of every error answer, as far as the client uses it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    status: u16,
    code: String,
    detail: String,
    instance: String,
    request_id: Option<String>,
    errors: Vec<FieldProblem>,
    execution_id: Option<Uuid>,
    /// The step of a start at which an agent failed.
    step: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldProblem {
    pointer: String,
    detail: String,
}

impl Problem {
    /// Reads the body of an answer of 400 or above; what is no problem becomes one.
    pub fn read(status: u16, path: &str, body: &str) -> Self {
        let mut problem = serde_json::from_str::<Self>(body).unwrap_or_default();
        problem.status = status;
        if problem.detail.is_empty() {
            problem.detail = format!("the server answered {status} to {path}");
        }
        if problem.instance.is_empty() {
            path.clone_into(&mut problem.instance);
        }
        problem
    }

    fn exit(&self) -> Exit {
        match (self.code.as_str(), self.status) {
            _ if self.step.is_some() => Exit::Failed,
            ("agent-not-running", _) | (_, 409 | 412 | 428 | 429) => Exit::Conflict,
            ("projection-lag" | "execution-timeout", _) | (_, 504) => Exit::TimedOut,
            (_, 400 | 405 | 413 | 415 | 422) => Exit::Usage,
            (_, 401 | 403) => Exit::Auth,
            (_, 404 | 410) => Exit::NotFound,
            (_, 503) => Exit::Unreachable,
            _ => Exit::Failed,
        }
    }

    /// The segment of the path after `/api/agents/`.
    fn agent(&self) -> Option<&str> {
        let rest = self.instance.strip_prefix("/api/agents/")?;
        rest.split('/').next().filter(|name| !name.is_empty())
    }

    fn hint(&self) -> Option<String> {
        let agent = self.agent().unwrap_or("AGENT");
        match (self.code.as_str(), self.status) {
            (_, 404) if self.instance.contains("/executions/") => Some("trinity exec ls".into()),
            ("no-such-file", _) => Some(format!("trinity agent files ls {agent}")),
            (_, 404) if self.agent().is_some() => Some("trinity agent ls".into()),
            ("already-exists", _) => Some("trinity agent ls".into()),
            _ if self.step.is_some() => Some(format!("trinity agent show {agent}")),
            ("agent-not-running", _) => Some(format!("trinity agent start {agent}")),
            ("queue-full", _) => Some(format!("trinity queue ls {agent}")),
            ("execution-failed" | "execution-timeout" | "execution-cancelled", _) => {
                self.execution_id.map(|id| format!("trinity exec show {id}"))
            }
            ("wrong-credentials", _) => Some("trinity login --username NAME".into()),
            (_, 503) => Some("trinity health".into()),
            (_, 500) => {
                self.request_id.as_ref().map(|id| format!("the server's log says more under {id}"))
            }
            _ => None,
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let mut detail = problem.detail.clone();
        for error in problem.errors.iter().filter(|error| error.detail != problem.detail) {
            detail.extend(["\n  ", &error.pointer, ": ", &error.detail]);
        }
        let hints = problem.hint().into_iter().collect();
        let exit = problem.exit();
        let code = Some(problem.code).filter(|code| !code.is_empty());
        Self::Message(Box::new(Message { exit, detail, hints, code }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(status: u16, body: &str) -> Message {
        match Error::from(Problem::read(status, "/api/agents/scout/task", body)) {
            Error::Message(message) => *message,
            Error::OutputClosed => panic!("a problem has words"),
        }
    }

    #[test]
    fn a_stopped_agent_is_a_conflict_that_a_start_resolves() {
        let body = r#"{"code":"agent-not-running","detail":"agent `scout` is stopped"}"#;
        let message = message(503, body);
        assert_eq!(message.exit, Exit::Conflict);
        assert_eq!(message.hints, ["trinity agent start scout"]);
    }

    #[test]
    fn every_wrong_field_is_told() {
        let body = r#"{"code":"invalid-field","detail":"the body is wrong","errors":[
            {"pointer":"/message","detail":"it is empty"},
            {"pointer":"/timeout_seconds","detail":"it is 9; it must be 10 to 900"}]}"#;
        let message = message(422, body);
        assert_eq!(message.exit, Exit::Usage);
        assert!(message.detail.contains("/message: it is empty"), "{}", message.detail);
        assert!(message.detail.contains("/timeout_seconds: it is 9"), "{}", message.detail);
    }

    #[test]
    fn an_answer_that_is_no_problem_still_has_words() {
        let message = message(502, "<html>bad gateway</html>");
        assert_eq!(message.exit, Exit::Failed);
        assert_eq!(message.detail, "the server answered 502 to /api/agents/scout/task");
    }

    #[test]
    fn a_cause_that_is_told_already_is_not_told_twice() {
        let error = anyhow::anyhow!("the disk is full").context("cannot write: the disk is full");
        let error = Error::of(Exit::Failed, &error.context("cannot open the log"));
        assert_eq!(error.to_string(), "cannot open the log: cannot write: the disk is full");
    }

    #[test]
    fn statuses_become_the_documented_exit_codes() {
        let exits = [400, 401, 403, 404, 409, 422, 429, 503, 504].map(|s| message(s, "{}").exit);
        assert_eq!(
            exits.map(|exit| exit as u8),
            [2, 3, 3, 4, 5, 2, 5, 8, 6],
            "usage, auth, not found, conflict, unreachable, wait timed out"
        );
    }
}
