//! What handlers work with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::auth::{Caller, Identity, Origins, Setup};
use super::error::{ApiError, Code, Result};
use super::extract::Fresh;
use super::frames::Frames;
use super::rates::Rates;
use super::selections::Selections;
use super::watchers::Watchers;
use crate::app::App;
use crate::domain::agent::Agent;
use crate::projections::Viewer;

/// How many streams one node serves at once.
const STREAMS_MAX: usize = 16_384;

/// How long a read that asks for no position waits for what was recorded before it came, in
/// milliseconds; so that whoever writes and then reads finds it, without having to ask.
const SOON_MS: u64 = 1_000;

/// What handlers work with. A clone is another handle to the same.
#[derive(Clone)]
pub struct ApiState {
    /// The server's parts.
    pub app: Arc<App>,
    /// Whose events are whose.
    pub origins: Arc<Origins>,
    /// Events as text.
    pub frames: Arc<Frames>,
    /// One permit for each open stream.
    streams: Arc<Semaphore>,
    /// How many streams were ended because their clients read too slowly.
    slow_resets: Arc<AtomicU64>,
    /// What was chosen to be acted on together.
    pub selections: Arc<Selections>,
    /// Who waits for an execution to change.
    pub watchers: Watchers,
    /// The description of the API, as text.
    pub openapi: Arc<str>,
    /// How often each caller may come.
    pub rates: Option<Arc<Rates>>,
}

impl ApiState {
    pub(super) fn new(app: Arc<App>, openapi: String) -> Self {
        let watchers = Watchers::start(&app.log, app.shutdown.clone());
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        let openapi = openapi.into();
        let rates = app.config.requests_per_second_max.map(|max| Arc::new(Rates::new(max)));
        Self {
            app,
            origins: Arc::default(),
            frames: Arc::default(),
            streams,
            slow_resets: Arc::default(),
            selections: Arc::default(),
            watchers,
            openapi,
            rates,
        }
    }

    /// A place for one more stream, held as long as it is open.
    ///
    /// # Errors
    /// 503 when as many are open as this node serves.
    pub fn open_stream(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let detail = format!("this node serves {STREAMS_MAX} streams already; try again");
            ApiError::new(Code::Overloaded, detail)
        })
    }

    /// How many streams are open.
    pub fn streams_open(&self) -> usize {
        STREAMS_MAX - self.streams.available_permits()
    }

    /// Counts a stream that is ended because its client reads too slowly.
    pub fn count_slow_reset(&self) {
        self.slow_resets.fetch_add(1, Ordering::Relaxed);
    }

    /// How many streams were ended because their clients read too slowly, since the start.
    pub fn slow_resets(&self) -> u64 {
        self.slow_resets.load(Ordering::Relaxed)
    }

    /// Who is let in before there is a user.
    pub fn setup(&self) -> &Setup {
        &self.app.setup
    }

    /// Waits until the read models have what the caller must see, and says how far they are.
    ///
    /// # Errors
    /// 503 when they are not there in the time the caller gave them.
    pub async fn caught_up(&self, fresh: Fresh, names: &[&str]) -> Result<i64> {
        let views = &self.app.views;
        if let Some(position) = fresh.min_position {
            let timeout = Duration::from_millis(fresh.wait_ms());
            let waited = views.wait_for(names, position, timeout).await;
            waited.map_err(|lag| lagging(&lag, lag.reached))?;
        } else {
            let head = self.app.log.head();
            // Late rows are better than none.
            let _in_time = views.wait_for(names, head, Duration::from_millis(SOON_MS)).await;
        }
        Ok(views.position(names))
    }

    /// Waits until this node has seen the log up to the position the caller asks for.
    ///
    /// # Errors
    /// 503 when it has not in the time the caller gave it.
    pub async fn wait_for_log(&self, fresh: Fresh) -> Result<()> {
        let Some(position) = fresh.min_position else { return Ok(()) };
        let mut head = self.app.log.watch_head();
        let there = head.wait_for(|head| *head >= position);
        let waited = tokio::time::timeout(Duration::from_millis(fresh.wait_ms()), there).await;
        if matches!(waited, Ok(Ok(_))) {
            return Ok(());
        }
        let reached = self.app.log.head();
        let detail = format!("the log has got to position {reached}, not to {position}");
        Err(lagging(&detail, reached))
    }

    /// Through whose eyes the list of agents is read: an agent sees that there are others.
    pub async fn viewer_of_agents(&self, caller: &Caller) -> Result<Viewer> {
        match caller.identity {
            Identity::Agent(_) => Ok(Viewer::System),
            Identity::User { .. } | Identity::System => self.viewer(caller).await,
        }
    }

    /// Through whose eyes lists are read.
    pub async fn viewer(&self, caller: &Caller) -> Result<Viewer> {
        Ok(match &caller.identity {
            Identity::User { id, .. } if caller.is_admin() => Viewer::Admin(*id),
            Identity::User { id, .. } => Viewer::User(*id),
            Identity::System => Viewer::System,
            Identity::Agent(life) => {
                let agent = self.app.log.state::<Agent>(&life.name).await?.state;
                let granted = agent.life.into_iter().flat_map(|life| life.grants.into_values());
                Viewer::Lives(granted.chain([life.incarnation]).collect())
            }
        })
    }
}

fn lagging(detail: &impl std::fmt::Display, reached: i64) -> ApiError {
    ApiError::new(Code::ProjectionLag, detail.to_string()).with("position", reached)
}
