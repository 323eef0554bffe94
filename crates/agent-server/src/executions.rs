//! Every execution of this agent server: what may start, what is there, what it does.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{mpsc, watch};
use trinity_agent_protocol::{
    EXECUTIONS_MAX, ErrorBody, ErrorCode, ExecutionState, ExecutionStatus, RUNS_MAX,
    SpawnErrorClass, StartRequest, StopRequest,
};

use crate::clock;
use crate::isolation::Confinement;
use crate::output::SeekIndex;
use crate::runner::{Spec, StopOrder};
use crate::state::{ExecutionFolder, RequestRecord, State, Tombstone};
use crate::supervise::{self, Runners};

/// How far in the future a deadline may be, and so how long a tombstone of an unknown id is kept.
const DEADLINE_AHEAD_DAYS_MAX: i64 = 7;

/// How long a tombstone outlives its deadline, for clocks that differ.
const TOMBSTONE_EXTRA_MINUTES: i64 = 10;

/// How many tombstones are kept; more can only come from a broken platform.
const TOMBSTONES_MAX: usize = 100_000;

/// How many orders wait for one runner; more are only repetitions.
const ORDERS_MAX: usize = 64;

/// Where the agent lives, as far as runs see it.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub workspace: String,
    pub home: String,
    pub files: PathBuf,
    /// What every run is held by.
    pub confinement: Confinement,
}

/// All executions of this agent server.
pub(crate) struct Executions {
    pub state: State,
    pub places: Places,
    pub runners: Runners,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    executions: BTreeMap<String, Arc<Execution>>,
    tombstones: BTreeMap<String, Tombstone>,
    is_closing: bool,
}

/// One execution that has a state folder.
pub(crate) struct Execution {
    pub id: String,
    pub epoch: u64,
    pub folder: ExecutionFolder,
    /// When a late start of it is refused by its deadline anyway.
    deadline: DateTime<Utc>,
    pub seek: Mutex<SeekIndex>,
    live: watch::Sender<Live>,
    orders: mpsc::Sender<StopOrder>,
}

/// What is known of an execution at this moment.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub status: ExecutionStatus,
    /// The bytes of its stored output, in whole lines.
    pub bytes: u64,
    /// It could not be started, and its folder is gone.
    pub failed: Option<ErrorBody>,
}

/// Whether a start made something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    Now,
    Already,
}

impl Execution {
    pub(crate) fn new(
        id: &str,
        folder: ExecutionFolder,
        record: &RequestRecord,
        status: ExecutionStatus,
        bytes: u64,
    ) -> (Arc<Self>, mpsc::Receiver<StopOrder>) {
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        let execution = Arc::new(Self {
            id: id.to_owned(),
            epoch: record.epoch,
            folder,
            deadline: record.deadline,
            seek: Mutex::default(),
            live: watch::Sender::new(Live { status, bytes, failed: None }),
            orders,
        });
        (execution, receiver)
    }

    pub(crate) fn status(&self) -> ExecutionStatus {
        self.live.borrow().status.clone()
    }

    /// Follows what happens to it.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Live> {
        self.live.subscribe()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Live)) {
        self.live.send_modify(change);
    }

    /// Waits until the start has succeeded or failed.
    async fn started(&self) -> Result<ExecutionStatus, ErrorBody> {
        let mut live = self.subscribe();
        let is_known =
            |live: &Live| live.failed.is_some() || live.status.state != ExecutionState::Starting;
        match live.wait_for(is_known).await {
            Ok(live) => live.failed.clone().map_or_else(|| Ok(live.status.clone()), Err),
            Err(_) => Ok(self.status()),
        }
    }
}

impl Executions {
    /// Reads what an earlier life of the agent server left.
    pub(crate) fn open(state: State, places: Places) -> io::Result<Arc<Self>> {
        let mut table = Table::default();
        let now = clock::now();
        for (id, tombstone) in state.tombstones()? {
            if tombstone.expires_at > now {
                table.tombstones.insert(id, tombstone);
            } else {
                state.unbury(&id)?;
            }
        }
        let executions =
            Self { state, places, runners: Runners::default(), table: Mutex::new(table) };
        Ok(Arc::new(executions))
    }

    /// Registers an execution that an earlier life of the agent server accepted.
    pub(crate) fn adopt(&self, execution: Arc<Execution>) {
        self.table().executions.insert(execution.id.clone(), execution);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an execution, once for each epoch; a repetition gets the answer of the first.
    pub(crate) async fn start(
        self: &Arc<Self>,
        id: &str,
        request: StartRequest,
    ) -> Result<(Started, ExecutionStatus), ErrorBody> {
        request.validate().map_err(|error| invalid(error.to_string()))?;
        let record = RequestRecord {
            epoch: request.epoch,
            program: request.argv.first().cloned().unwrap_or_default(),
            timeout_ms: request.timeout_ms,
            grace_ms: request.grace_ms,
            deadline: request.deadline,
            accepted_at: clock::now(),
        };
        let (execution, orders) = match self.admit(id, &request, &record)? {
            Admission::Here(execution) => {
                return Ok((Started::Already, execution.started().await?));
            }
            Admission::New(execution, orders) => (execution, orders),
        };
        // A task of its own: the start goes on when the client leaves.
        tokio::spawn(Arc::clone(self).launch(Arc::clone(&execution), record, request, orders));
        Ok((Started::Now, execution.started().await?))
    }

    /// Decides on a start and takes the id for it, in one step.
    fn admit(
        &self,
        id: &str,
        request: &StartRequest,
        record: &RequestRecord,
    ) -> Result<Admission, ErrorBody> {
        let mut table = self.table();
        let refuse = |code, epoch, message: &str| {
            Err(ErrorBody { epoch: Some(epoch), ..ErrorBody::new(code, message) })
        };
        if let Some(here) = table.executions.get(id) {
            return match request.epoch.cmp(&here.epoch) {
                std::cmp::Ordering::Equal => Ok(Admission::Here(Arc::clone(here))),
                std::cmp::Ordering::Less => {
                    refuse(ErrorCode::StaleEpoch, here.epoch, "a newer epoch is here already")
                }
                std::cmp::Ordering::Greater => refuse(
                    ErrorCode::Occupied,
                    here.epoch,
                    "an older epoch is still here; stop it and delete it first",
                ),
            };
        }
        if let Some(tombstone) = table.tombstones.get(id).filter(|t| t.epoch >= request.epoch) {
            let message = "this epoch was cancelled or deleted and will never start";
            return refuse(ErrorCode::Tombstone, tombstone.epoch, message);
        }
        check_deadline(request)?;
        table.has_room()?;
        let status = starting(id, request.epoch);
        let (execution, orders) = Execution::new(id, self.state.execution(id), record, status, 0);
        table.executions.insert(id.to_owned(), Arc::clone(&execution));
        Ok(Admission::New(execution, orders))
    }

    async fn launch(
        self: Arc<Self>,
        execution: Arc<Execution>,
        record: RequestRecord,
        request: StartRequest,
        orders: mpsc::Receiver<StopOrder>,
    ) {
        let (state, id) = (self.state.clone(), execution.id.clone());
        let accepted = blocking(move || state.accept(&id, &record)).await;
        if let Err(error) = accepted {
            let message = format!("cannot write the state folder: {error}");
            let failed = ErrorBody {
                class: Some(SpawnErrorClass::State),
                errno: error.raw_os_error(),
                ..ErrorBody::new(ErrorCode::SpawnFailed, message)
            };
            return self.forget_failed(&execution, failed);
        }
        let spec = Spec {
            id: execution.id.clone(),
            folder: execution.folder.clone(),
            files: self.places.files.clone(),
            workspace: self.places.workspace.clone(),
            confinement: self.places.confinement.clone(),
            request,
        };
        supervise::run(&self, &execution, &spec, orders).await;
    }

    /// Takes back an execution of which nothing ran.
    pub(crate) fn forget_failed(&self, execution: &Execution, failed: ErrorBody) {
        self.table().executions.remove(&execution.id);
        execution.update(|live| live.failed = Some(failed));
    }

    /// Stops an execution. An epoch that is not here leaves a tombstone.
    pub(crate) async fn stop(
        &self,
        id: &str,
        request: StopRequest,
    ) -> Result<ExecutionStatus, ErrorBody> {
        let order = StopOrder { reason: request.reason, force: request.force, grace_ms: None };
        // Looking and burying are one step, so that no start gets in between.
        let (here, tombstone) = {
            let mut table = self.table();
            let here = table.executions.get(id).cloned();
            match &here {
                Some(here) if here.epoch > request.epoch => {
                    let message = "a newer epoch is here; it goes on";
                    let body = ErrorBody::new(ErrorCode::StaleEpoch, message);
                    return Err(ErrorBody { epoch: Some(here.epoch), ..body });
                }
                Some(same) if same.epoch == request.epoch => (here, None),
                _ => {
                    let until = clock::now() + TimeDelta::days(DEADLINE_AHEAD_DAYS_MAX);
                    let tombstone = table.bury(id, request.epoch, until)?;
                    (here, Some(tombstone))
                }
            }
        };
        if let Some(here) = &here {
            here.order(order);
        }
        if let Some(tombstone) = tombstone {
            self.write_tombstone(id, tombstone).await?;
        }
        let epoch = tombstone.map_or(request.epoch, |tombstone| tombstone.epoch);
        Ok(here.map_or_else(|| tombstone_status(id, epoch), |here| here.status()))
    }

    async fn write_tombstone(&self, id: &str, tombstone: Tombstone) -> Result<(), ErrorBody> {
        let (state, name) = (self.state.clone(), id.to_owned());
        blocking(move || state.bury(&name, &tombstone))
            .await
            .map_err(|error| internal("cannot write a tombstone", &error))
    }

    /// Forgets an execution that has ended; its epoch stays refused until its deadline.
    pub(crate) async fn delete(&self, id: &str) -> Result<(), ErrorBody> {
        let here = self.table().executions.get(id).cloned();
        let Some(here) = here else {
            let is_buried = self.table().tombstones.contains_key(id);
            return if is_buried { Ok(()) } else { Err(not_found(id)) };
        };
        if !here.status().state.is_final() {
            return Err(ErrorBody::new(ErrorCode::StillRunning, "it has not ended; stop it first"));
        }
        let tombstone = self.table().bury(id, here.epoch, here.deadline)?;
        self.write_tombstone(id, tombstone).await?;
        let (state, name) = (self.state.clone(), id.to_owned());
        blocking(move || state.remove(&name))
            .await
            .map_err(|error| internal("cannot remove the state folder", &error))?;
        self.table().executions.remove(id);
        Ok(())
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Execution>> {
        self.table().executions.get(id).cloned()
    }

    /// Shows one execution or the tombstone of one.
    pub(crate) fn status(&self, id: &str) -> Result<ExecutionStatus, ErrorBody> {
        let table = self.table();
        if let Some(here) = table.executions.get(id) {
            return Ok(here.status());
        }
        let buried = table.tombstones.get(id).map(|t| tombstone_status(id, t.epoch));
        buried.ok_or_else(|| not_found(id))
    }

    /// Shows every execution that has a folder, without the tails of stderr.
    pub(crate) fn list(&self) -> Vec<ExecutionStatus> {
        let table = self.table();
        let shortened = |execution: &Arc<Execution>| {
            let mut status = execution.status();
            if let Some(exit) = &mut status.exit {
                exit.stderr_tail.clear();
            }
            status
        };
        table.executions.values().map(shortened).collect()
    }

    /// Tells whether nothing runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.table().running() == 0
    }

    /// Takes no more starts and stops every run; returns when all have ended.
    pub(crate) async fn close(&self, order: StopOrder) {
        let open: Vec<_> = {
            let mut table = self.table();
            table.is_closing = true;
            table.executions.values().cloned().collect()
        };
        for execution in &open {
            execution.order(order);
        }
        for execution in open {
            let mut live = execution.subscribe();
            // Fails only when the execution is gone, which is as good.
            let has_ended = |live: &Live| live.failed.is_some() || live.status.state.is_final();
            let _ = live.wait_for(has_ended).await;
        }
    }

    /// Drops tombstones that are not needed any more.
    pub(crate) fn expire_tombstones(&self) {
        let now = clock::now();
        let mut table = self.table();
        let expired = table.tombstones.extract_if(.., |_, t| t.expires_at <= now);
        for (id, _) in expired {
            if let Err(error) = self.state.unbury(&id) {
                tracing::warn!(%id, %error, "cannot remove a tombstone");
            }
        }
    }
}

enum Admission {
    Here(Arc<Execution>),
    New(Arc<Execution>, mpsc::Receiver<StopOrder>),
}

impl Execution {
    /// Passes an order to the runner. A full queue holds the same order already.
    fn order(&self, order: StopOrder) {
        let _ = self.orders.try_send(order);
    }
}

impl Table {
    /// Leaves a tombstone in memory; what an older one says beyond it stays.
    fn bury(
        &mut self,
        id: &str,
        epoch: u64,
        deadline: DateTime<Utc>,
    ) -> Result<Tombstone, ErrorBody> {
        let expires_at = deadline + TimeDelta::minutes(TOMBSTONE_EXTRA_MINUTES);
        let mut tombstone = Tombstone { epoch, expires_at };
        if let Some(older) = self.tombstones.get(id) {
            tombstone.epoch = epoch.max(older.epoch);
            tombstone.expires_at = expires_at.max(older.expires_at);
        } else if self.tombstones.len() >= TOMBSTONES_MAX {
            return Err(ErrorBody::new(ErrorCode::Busy, "too many tombstones"));
        }
        self.tombstones.insert(id.to_owned(), tombstone);
        Ok(tombstone)
    }

    fn running(&self) -> usize {
        self.executions.values().filter(|e| !e.live.borrow().status.state.is_final()).count()
    }

    fn has_room(&self) -> Result<(), ErrorBody> {
        if self.is_closing {
            return Err(ErrorBody::new(ErrorCode::ShuttingDown, "the agent server is ending"));
        }
        if self.executions.len() >= EXECUTIONS_MAX || self.running() >= RUNS_MAX {
            let message = "too many executions; delete those that have ended";
            return Err(ErrorBody::new(ErrorCode::Busy, message));
        }
        Ok(())
    }
}

fn check_deadline(request: &StartRequest) -> Result<(), ErrorBody> {
    let now = clock::now();
    if !request.fits_before_deadline(now) {
        let message = "timeout and grace do not fit before the deadline; nothing was started (if it \
                       was asked for in time, the clocks of the two machines differ: set them by NTP)";
        return Err(ErrorBody::new(ErrorCode::DeadlineTooNear, message));
    }
    if request.deadline - now > TimeDelta::days(DEADLINE_AHEAD_DAYS_MAX) {
        return Err(invalid(format!("deadline is over {DEADLINE_AHEAD_DAYS_MAX} days ahead")));
    }
    Ok(())
}

/// The status of an execution that was accepted and has not started.
pub(crate) fn starting(id: &str, epoch: u64) -> ExecutionStatus {
    ExecutionStatus {
        id: id.to_owned(),
        epoch,
        state: ExecutionState::Starting,
        pid: None,
        started_at: None,
        last_seq: 0,
        stop: None,
        exit: None,
        problem: None,
    }
}

fn tombstone_status(id: &str, epoch: u64) -> ExecutionStatus {
    ExecutionStatus { state: ExecutionState::Tombstone, ..starting(id, epoch) }
}

fn invalid(message: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::InvalidRequest, message)
}

fn not_found(id: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::NotFound, format!("no execution {id} here"))
}

fn internal(doing: &str, error: &io::Error) -> ErrorBody {
    tracing::error!(%error, "{doing}");
    let message = format!("{doing}: {error}");
    ErrorBody { errno: error.raw_os_error(), ..ErrorBody::new(ErrorCode::Internal, message) }
}

/// Does something that may wait for a disk, away from the tasks that must not.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
