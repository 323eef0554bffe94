//! How refusals of the domain and outages of the stores become problems, once for all handlers.

use super::auth::permission_denied;
use super::error::{ApiError, Code};
use super::{etag, inside};
use crate::commands::Refusal;
use crate::commands::tasks::SubmitError;
use crate::domain::account::AccountError;
use crate::domain::agent::{AgentError, ConfigError};
use crate::domain::execution::ExecutionError;
use crate::domain::slots::SlotsError;
use crate::event_log::{ExecuteError, Invalid, LogError, Unavailable};
use crate::projections::{self, PageError};
use crate::state::transcripts;

impl From<Unavailable> for ApiError {
    fn from(error: Unavailable) -> Self {
        tracing::warn!(%error, "the event log is not available");
        let detail = "the event log is not available at the moment; nothing that was \
                      acknowledged is lost";
        Self::new(Code::LogUnavailable, detail)
    }
}

impl From<projections::Error> for ApiError {
    fn from(error: projections::Error) -> Self {
        match error {
            projections::Error::Unavailable(reason) => {
                tracing::warn!(reason, "a store is not available");
                let detail = "the database is not available at the moment; try again";
                Self::new(Code::StoreUnavailable, detail)
            }
            error => Self::internal(&anyhow::Error::new(error)),
        }
    }
}

impl From<transcripts::Error> for ApiError {
    fn from(error: transcripts::Error) -> Self {
        match error {
            transcripts::Error::Db(error) => error.into(),
            error => Self::internal(&anyhow::Error::new(error)),
        }
    }
}

impl From<anyhow::Error> for ApiError {
    /// What a store says in words, unless it is only away for a moment.
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<projections::Error>() {
            Ok(error) => error.into(),
            Err(error) => match error.downcast::<LogError>() {
                Ok(error) => error.into(),
                Err(error) => Self::internal(&error),
            },
        }
    }
}

impl From<PageError> for ApiError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Limit => Self::parameter("limit", error.to_string()),
            PageError::Cursor | PageError::Filter => {
                Self::parameter("cursor", error.to_string()).with_code(Code::InvalidCursor)
            }
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(unavailable) => unavailable.into(),
            error => Self::internal(&anyhow::Error::new(error)),
        }
    }
}

impl<E: Into<Refusal>> From<ExecuteError<E>> for ApiError {
    fn from(error: ExecuteError<E>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => refusal.into().into(),
            ExecuteError::Conflict => {
                let detail = "others keep changing the same thing; nothing was done, try again";
                Self::new(Code::Overloaded, detail)
            }
            ExecuteError::Unavailable(unavailable) => unavailable.into(),
            ExecuteError::Log(error) => error.into(),
            ExecuteError::Invalid(error) => error.into(),
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(error: Invalid) -> Self {
        match error {
            Invalid::NulCharacter(_) | Invalid::TooLarge { .. } => {
                Self::new(Code::InvalidField, error.to_string())
            }
            error => Self::internal(&anyhow::Error::new(error)),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Agent(error) => error.into(),
            Refusal::Slots(error) => error.into(),
            Refusal::Execution(error) => error.into(),
            Refusal::Account(error) => error.into(),
            Refusal::Submit(error) => error.into(),
            Refusal::Stale { version } => {
                let detail = format!("{refusal}; read it again, then decide");
                let error = Self::new(Code::PreconditionFailed, detail);
                error.with("etag", etag::text(version))
            }
        }
    }
}

impl From<AgentError> for ApiError {
    fn from(error: AgentError) -> Self {
        let code = match &error {
            AgentError::NotFound => Code::NotFound,
            AgentError::AlreadyExists => Code::AlreadyExists,
            AgentError::ReservedName => Code::InvalidName,
            AgentError::Stopping
            | AgentError::Deleting
            | AgentError::NotRunning
            | AgentError::TooManySkills
            | AgentError::NotSystemAgent => Code::Conflict,
            AgentError::SystemAgent => Code::Forbidden,
            AgentError::SelfGrant => Code::InvalidField,
            AgentError::Config(error) => return error.clone().into(),
        };
        Self::new(code, error.to_string())
    }
}

impl From<ConfigError> for ApiError {
    fn from(error: ConfigError) -> Self {
        let pointer = match error {
            ConfigError::Capacity(_) => "/max_parallel_tasks",
            ConfigError::Timeout(_) => "/execution_timeout_seconds",
            ConfigError::Cpu(_) => "/resources/cpu",
            ConfigError::Memory(_) => "/resources/memory",
            ConfigError::Pattern(_) | ConfigError::Patterns(_) => "/config",
        };
        Self::field(pointer, error.to_string())
    }
}

impl From<SlotsError> for ApiError {
    fn from(error: SlotsError) -> Self {
        match &error {
            SlotsError::Suspended(_) => {
                let detail = format!("{error}; start it, then try again");
                Self::new(Code::AgentNotRunning, detail)
            }
            SlotsError::QueueFull { .. } => Self::new(Code::QueueFull, error.to_string()),
            SlotsError::TimeoutTooLong { .. } => Self::field("/timeout_seconds", error.to_string()),
            SlotsError::Config(error) => error.clone().into(),
        }
    }
}

impl From<ExecutionError> for ApiError {
    fn from(error: ExecutionError) -> Self {
        let code = match error {
            ExecutionError::NotFound => Code::NotFound,
            ExecutionError::AlreadyExists | ExecutionError::NotStarted => Code::Conflict,
        };
        Self::new(code, error.to_string())
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::NotFound => Self::new(Code::NotFound, error.to_string()),
            AccountError::AlreadyExists => Self::new(Code::AlreadyExists, error.to_string()),
            AccountError::InvalidName => Self::field("/username", error.to_string()),
            AccountError::ScopeMismatch => Self::field("/agent_name", error.to_string()),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let code = match &error {
            SubmitError::NotPermitted { caller, callee } => {
                return permission_denied(caller, callee, error.to_string());
            }
            SubmitError::InvalidParent | SubmitError::TooDeep => {
                return Self::field("/parent_execution_id", error.to_string())
                    .with_code(Code::InvalidParent);
            }
            SubmitError::NotRunning { agent, phase } => return inside::not_running(agent, *phase),
            SubmitError::WouldDeadlock => Code::WouldDeadlock,
            SubmitError::KeyReused => Code::IdempotencyKeyReused,
        };
        Self::new(code, error.to_string())
    }
}
