//! The agent server as a process: its lock, its socket, its end.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::stat::{Mode, umask};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use trinity_agent_protocol::{
    ExecutionState, Info, Isolation, PROTOCOL_VERSION, ShutdownRequest, Stop, StopPhase, StopReason,
};

use crate::door::{self, Connections};
use crate::executions::{Execution, Executions, Places, starting};
use crate::files::Files;
use crate::gateway::Gateway;
use crate::http::Server;
use crate::isolation::{IsolationArgs, restricts_writes};
use crate::processes::{ProcessIdentity, close_inherited};
use crate::runner::StopOrder;
use crate::state::{ServerRecord, State, create_private_folder};
use crate::succession::{Tenure, succeed};
use crate::supervise::{remove_files, settle_left_over};
use crate::{clock, detach};

/// How many bytes the path of a unix socket can have.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Passed through by everybody, listed by the agent server alone.
const FILES_FOLDER_MODE: u32 = 0o711;

/// How often the agent server looks whether it is still needed, and drops old tombstones.
const TICK_MS: u64 = 5_000;

/// The pause after a connection could not be accepted, for example for want of descriptors.
const ACCEPT_PAUSE_MS: u64 = 100;

/// How an agent server ends that nobody reaches any more.
const AT_ONCE: ShutdownRequest = ShutdownRequest { grace_ms: Some(0) };

/// Where an agent server keeps its things, and whom it serves.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The folder for the state of executions; made when missing.
    #[arg(long)]
    pub state: PathBuf,
    /// The unix socket to listen on; its folder is made when missing.
    #[arg(long)]
    pub socket: PathBuf,
    /// The agent's workspace, where runs start.
    #[arg(long)]
    pub workspace: PathBuf,
    /// The folder for files that exist while a run lasts; made when missing.
    #[arg(long)]
    pub files: PathBuf,
    /// The incarnation of the agent.
    #[arg(long)]
    pub incarnation: String,
    /// Ends after this time in milliseconds without runs and without connections.
    #[arg(long)]
    pub idle_exit_ms: Option<u64>,
    /// The folder for temporary files of the agent alone.
    #[arg(long)]
    pub tmp: Option<PathBuf>,
    /// Serves only connections that begin with the secret of `server.json`.
    #[arg(long)]
    pub require_token: bool,
    /// The loopback address at which runs reach their model's API through the platform; only where no
    /// other agent has the same loopback.
    #[arg(long, requires = "container")]
    pub gateway: Option<SocketAddr>,
    /// What keeps its runs apart from everything else.
    #[command(flatten)]
    pub isolation: IsolationArgs,
    /// Goes to the background and returns once it serves.
    #[arg(long)]
    pub detach: bool,
}

/// Serves until told to end.
pub(crate) fn main(args: Args) -> anyhow::Result<()> {
    close_inherited().context("cannot read /proc")?;
    if args.detach {
        return detach::start();
    }
    log_to_stderr();
    umask(Mode::from_bits_truncate(0o077));
    nix::sys::prctl::set_child_subreaper(true).context("cannot become a subreaper")?;
    // In a container the volume is its own: whoever else has the folder was forgotten there.
    let yields = args.isolation.is_container();
    let lock = if yields { succeed(&args.state) } else { State::lock(&args.state) };
    let lock = lock.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => {
            anyhow::anyhow!("another agent server has {}", args.state.display())
        }
        _ => anyhow::Error::new(error).context(format!("cannot lock {}", args.state.display())),
    })?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let result = runtime.worker_threads(2).enable_all().build()?.block_on(serve(args, &lock));
    drop(lock);
    result
}

/// Sends the log of this process to standard error.
pub(crate) fn log_to_stderr() {
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
    // Fails only when a log is set up already, which then does.
    let _ = log.try_init();
}

async fn serve(args: Args, lock: &File) -> anyhow::Result<()> {
    let tenure = Tenure::begin(lock, &args.state, args.isolation.is_container());
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is no UTF-8");
    let isolation = args.isolation.in_force()?;
    // The home is in the workspace.
    let own = [Some(&args.workspace), args.tmp.as_ref()].into_iter().flatten().cloned().collect();
    let places = Places {
        workspace: text(&args.workspace)?,
        home: text(&args.workspace.join(".home"))?,
        files: args.files.clone(),
        confinement: args.isolation.confinement(own),
    };
    make_files_folder(&args.files).context("cannot make the folder for files")?;
    let info = Info {
        protocol: PROTOCOL_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: uuid::Uuid::new_v4().to_string(),
        incarnation: args.incarnation.clone(),
        started_at: clock::now(),
        workspace: places.workspace.clone(),
        home: places.home.clone(),
        files: text(&args.files)?,
        tmp: args.tmp.as_deref().map(text).transpose()?,
        path: args.isolation.search_path(),
        restricts_writes: Some(restricts_writes()),
        gateway: args.gateway.map(|address| format!("http://{address}")),
        isolation,
    };
    let state = State::open(&args.state)
        .with_context(|| format!("cannot use the state folder {}", args.state.display()))?;
    let executions = Executions::open(state, places).context("cannot read the state folder")?;
    take_over(&executions).context("cannot read the executions of an earlier life")?;
    let listener = bind(&args.socket)?;
    let (shutdown, asked) = mpsc::channel(1);
    let token = args.require_token.then(door::new_token);
    announce(&executions.state, &args.socket, token.clone(), isolation)?;
    let gateway = match args.gateway {
        Some(address) => Some(
            Gateway::listen(address)
                .await
                .with_context(|| format!("cannot listen for runs on {address}"))?,
        ),
        None => None,
    };
    let kept_files = Arc::default();
    let files = Arc::new(Files::new(Arc::clone(&executions)));
    let known = Arc::clone(&executions);
    let server = Server { executions: known, info, kept_files, files, gateway, shutdown };
    let connections = Connections::new(server, token);
    let result = accept(listener, executions, connections, tenure, asked, args.idle_exit_ms).await;
    let _ = fs::remove_file(&args.socket);
    result
}

/// Makes the folder of which each run gets one of its own; a run with another user passes through.
fn make_files_folder(path: &Path) -> std::io::Result<()> {
    create_private_folder(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(FILES_FOLDER_MODE))
}

/// Writes who serves into the state folder and says it on standard output, if anybody listens.
fn announce(
    state: &State,
    socket: &Path,
    token: Option<String>,
    isolation: Isolation,
) -> anyhow::Result<()> {
    let process = ProcessIdentity::own().context("cannot read /proc")?;
    let record = ServerRecord { process, socket: socket.to_owned(), token, isolation };
    state.write_server(&record).context("cannot write the state folder")?;
    // The secret is for who can read the folder alone.
    let said = ServerRecord { token: None, ..record };
    let _ = writeln!(std::io::stdout(), "{}", serde_json::to_string(&said)?);
    Ok(())
}

/// Listens on a socket that only this user can open.
fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        bail!("the socket path {} is longer than {SOCKET_PATH_BYTES_MAX} bytes", path.display());
    }
    if let Some(folder) = path.parent() {
        create_private_folder(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // The lock on the state folder is held, so a socket that is there has no owner any more.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", path.display()));
        }
        _ => {}
    }
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Registers what an earlier life of the agent server accepted, and settles what nobody runs.
fn take_over(executions: &Arc<Executions>) -> anyhow::Result<()> {
    for id in executions.state.execution_ids()? {
        if let Err(error) = take_over_one(executions, &id) {
            tracing::error!(id, error = format!("{error:#}"), "cannot read an execution");
        }
    }
    for entry in fs::read_dir(&executions.places.files)? {
        if let Some(id) = entry?.file_name().to_str()
            && executions.find(id).is_none_or(|here| here.status().state.is_final())
        {
            remove_files(executions, id);
        }
    }
    Ok(())
}

fn take_over_one(executions: &Arc<Executions>, id: &str) -> anyhow::Result<()> {
    let folder = executions.state.execution(id);
    let Some(record) = folder.request()? else {
        // The folder was made, but the request was not durable yet: nothing was started.
        return Ok(executions.state.remove(id)?);
    };
    if let Some(status) = folder.exit()? {
        let bytes = fs::metadata(folder.output_path()).map_or(0, |file| file.len());
        let (execution, _) = Execution::new(id, folder, &record, status, bytes);
        executions.adopt(execution);
        return Ok(());
    }
    let mut status = starting(id, record.epoch);
    status.state = ExecutionState::Running;
    status.stop = Some(Stop {
        reason: StopReason::AgentServerLost,
        phase: StopPhase::Requested,
        interrupt_sent_at: None,
        grace_ms: None,
        kill_sent_at: None,
    });
    let (execution, _) = Execution::new(id, folder, &record, status, 0);
    executions.adopt(Arc::clone(&execution));
    tokio::spawn(settle_left_over(Arc::clone(executions), execution));
    Ok(())
}

/// Accepts connections until a shutdown is asked for and every run has ended.
async fn accept(
    listener: UnixListener,
    executions: Arc<Executions>,
    connections: Connections,
    mut tenure: Tenure<'_>,
    mut asked: mpsc::Receiver<ShutdownRequest>,
    idle_exit_ms: Option<u64>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut tick = interval(Duration::from_millis(TICK_MS.min(idle_exit_ms.unwrap_or(TICK_MS))));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut idle = Idle::new(idle_exit_ms);
    let closed = async { std::future::pending::<()>().await };
    let mut closed: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(closed);
    // With what haste it ends, once it does.
    let mut closing = None;
    loop {
        let request = tokio::select! {
            accepted = listener.accept() => {
                match accepted {
                    Ok((stream, _)) => connections.serve(stream),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    }
                }
                None
            }
            () = &mut closed => break,
            request = asked.recv() => request,
            _ = terminate.recv() => Some(ShutdownRequest::default()),
            _ = interrupt.recv() => Some(ShutdownRequest::default()),
            // The terminal it was started from is none of its business.
            _ = hangup.recv() => None,
            () = tenure.is_wanted() => Some(AT_ONCE),
            _ = tick.tick() => {
                executions.expire_tombstones();
                // Where nothing can be recorded nothing is to be waited for: its runners end with it.
                ensure!(!tenure.is_void(), "the state folder was removed");
                idle.is_over(connections.count() > 0 || !executions.is_idle())
                    .then(ShutdownRequest::default)
            }
        };
        if let Some(request) = request
            && (closing.is_none() || request == AT_ONCE)
            && closing.as_ref() != Some(&AT_ONCE)
        {
            closing = Some(request.clone());
            tracing::info!("ending");
            closed = Box::pin(close(Arc::clone(&executions), request));
        }
    }
    connections.end().await;
    Ok(())
}

async fn close(executions: Arc<Executions>, request: ShutdownRequest) {
    let reason = StopReason::AgentStopped;
    executions.close(StopOrder { reason, force: false, grace_ms: request.grace_ms }).await;
}

/// Measures how long nothing was needed.
struct Idle {
    after: Option<Duration>,
    since: Instant,
}

impl Idle {
    fn new(after_ms: Option<u64>) -> Self {
        Self { after: after_ms.map(Duration::from_millis), since: Instant::now() }
    }

    fn is_over(&mut self, is_needed: bool) -> bool {
        if is_needed {
            self.since = Instant::now();
        }
        self.after.is_some_and(|after| self.since.elapsed() >= after)
    }
}
