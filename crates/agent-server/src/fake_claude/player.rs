//! Plays a script, and does what the CLI does on signals.

use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::children::{self, Shell};
use super::flags::Flags;
use super::lines::Printer;
use super::script::{Op, ResultKind, TrapInt};

/// The rest of a step, or the end of the run.
type Step = Result<(), ExitCode>;

/// A run under way.
pub struct Player {
    printer: Printer,
    flags: Flags,
    signals: Signals,
    on_int: Option<TrapInt>,
    is_deaf_to_term: bool,
    wants_result: bool,
    call: Option<Call>,
}

/// A tool call without an answer yet.
struct Call {
    id: String,
    session: Option<i32>,
}

struct Signals {
    int: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.int.recv() => Signal::SIGINT,
            _ = self.term.recv() => Signal::SIGTERM,
            _ = self.hup.recv() => Signal::SIGHUP,
        }
    }
}

impl Player {
    /// Plays the script to its end; gives the exit code.
    pub async fn run(printer: Printer, flags: Flags, ops: Vec<Op>) -> std::io::Result<ExitCode> {
        let mut player = Self {
            printer,
            flags,
            signals: Signals::new()?,
            on_int: None,
            is_deaf_to_term: false,
            wants_result: true,
            call: None,
        };
        for op in ops {
            if let Err(code) = player.play(op).await {
                return Ok(code);
            }
        }
        if player.wants_result && !player.printer.has_result() {
            player.printer.success();
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn play(&mut self, op: Op) -> Step {
        // A signal is noticed between two steps too.
        self.wait(tokio::task::yield_now()).await?;
        match op {
            Op::Say(text) => self.turn().map(|()| self.printer.say(&text)),
            Op::Big(bytes) => self.turn().map(|()| self.printer.words(&"x".repeat(bytes))),
            Op::Tool { name, input, result, pause } => {
                self.tool(&name, &input, &result, pause).await
            }
            Op::Exec(command) => self.exec(&command).await,
            Op::Sleep(duration) => self.wait(tokio::time::sleep(duration)).await,
            Op::Hang => self.wait(std::future::pending()).await,
            Op::Fork(count) => {
                let started = self.wait(children::leave_behind(count)).await?;
                started.or_else(|error| self.fail(&format!("op \"fork\": {error}")))
            }
            Op::Raw(bytes) => {
                self.printer.raw(&bytes);
                Ok(())
            }
            Op::Stderr(text) => {
                // The real CLI goes on when nobody reads its complaints.
                let _ = writeln!(std::io::stderr(), "{text}");
                Ok(())
            }
            Op::TrapInt(trap) => {
                self.on_int = Some(trap);
                Ok(())
            }
            Op::TrapTerm => {
                self.is_deaf_to_term = true;
                Ok(())
            }
            Op::Result { kind, cost_usd } => {
                self.result(kind, cost_usd);
                Ok(())
            }
            Op::Close => {
                close_stdout().or_else(|error| self.fail(&format!("op \"close\": {error}")))
            }
            Op::Exit(code) => Err(ExitCode::from(code)),
            Op::Abort => {
                // The crash is wanted, a file of the whole memory is not.
                let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
                std::process::abort()
            }
        }
    }

    fn result(&mut self, kind: ResultKind, cost_usd: Option<f64>) {
        self.printer.cost_usd = cost_usd.or(self.printer.cost_usd);
        match kind {
            ResultKind::Success => self.printer.success(),
            ResultKind::ErrorMaxTurns => self.printer.out_of_turns(self.flags.max_turns),
            ResultKind::None => self.wants_result = false,
        }
    }

    fn fail(&mut self, error: &str) -> Step {
        self.printer.failure("error_during_execution", error);
        Err(ExitCode::FAILURE)
    }

    /// Ends the run when the next words of the model are a turn too many.
    fn turn(&mut self) -> Step {
        if !self.printer.is_out_of_turns(self.flags.max_turns) {
            return Ok(());
        }
        self.printer.out_of_turns(self.flags.max_turns);
        Err(ExitCode::FAILURE)
    }

    async fn tool(&mut self, name: &str, input: &Value, result: &str, pause: Duration) -> Step {
        let Some(id) = self.call(name, input)? else { return Ok(()) };
        self.call = Some(Call { id: id.clone(), session: None });
        self.wait(tokio::time::sleep(pause)).await?;
        self.call = None;
        self.printer.tool_result(&id, result, false);
        Ok(())
    }

    async fn exec(&mut self, command: &str) -> Step {
        let Some(id) = self.call("Bash", &json!({"command": command}))? else { return Ok(()) };
        let shell = match Shell::start(command) {
            Ok(shell) => shell,
            Err(error) => return self.fail(&format!("op \"exec\": {error}")),
        };
        self.call = Some(Call { id: id.clone(), session: shell.pid() });
        let ended = self.wait(shell.wait()).await?;
        self.call = None;
        match ended {
            Ok((status, output)) if status.success() => {
                self.printer.tool_result(&id, output.trim_end(), false);
            }
            Ok((status, output)) => {
                let end = match status.code() {
                    Some(code) => format!("Exit code {code}"),
                    None => status.to_string(),
                };
                self.printer.tool_result(&id, format!("{end}\n{output}").trim_end(), true);
            }
            Err(error) => return self.fail(&format!("op \"exec\": {error}")),
        }
        Ok(())
    }

    /// Prints a tool call; without an id it was refused, because the run may not use this tool.
    fn call(&mut self, name: &str, input: &Value) -> Result<Option<String>, ExitCode> {
        self.turn()?;
        let id = self.printer.tool_use(name, input);
        if self.flags.allows(name) {
            return Ok(Some(id));
        }
        self.printer.deny(&id, name, input);
        let refusal = format!("No such tool available: {name}. It is not enabled in this run.");
        self.printer.tool_result(&id, &refusal, true);
        Ok(None)
    }

    /// Awaits something; a signal may end the run meanwhile.
    async fn wait<T>(&mut self, something: impl Future<Output = T>) -> Result<T, ExitCode> {
        let mut something = pin!(something);
        loop {
            let signal = tokio::select! {
                biased;
                signal = self.signals.next() => signal,
                done = &mut something => return Ok(done),
            };
            if let Some(code) = self.on_signal(signal) {
                return Err(code);
            }
        }
    }

    /// Gives the exit code when the signal ends the run.
    fn on_signal(&mut self, signal: Signal) -> Option<ExitCode> {
        match (signal, self.on_int) {
            (Signal::SIGINT, Some(TrapInt::Ignore)) => None,
            (Signal::SIGINT, Some(TrapInt::Exit(code))) => Some(ExitCode::from(code)),
            (Signal::SIGINT, Some(TrapInt::Result)) => {
                self.printer.success();
                Some(ExitCode::SUCCESS)
            }
            (Signal::SIGINT, None) => Some(self.interrupted()),
            (Signal::SIGTERM, _) if self.is_deaf_to_term => None,
            // By other signals the real CLI ends at once and leaves its tools running.
            (other, _) => Some(ExitCode::from(u8::try_from(128 + other as i32).unwrap_or(1))),
        }
    }

    fn interrupted(&mut self) -> ExitCode {
        let call = self.call.take();
        if let Some(session) = call.as_ref().and_then(|call| call.session) {
            // A tool that is deaf to it survives, as it does with the real CLI.
            let _ = killpg(Pid::from_raw(session), Signal::SIGTERM);
        }
        if !self.printer.has_result() {
            self.printer.interrupted(call.as_ref().map(|call| call.id.as_str()));
        }
        if call.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// Whoever reads standard output sees its end; what is printed later goes nowhere.
fn close_stdout() -> Result<(), String> {
    let nowhere = OpenOptions::new().write(true).open("/dev/null");
    let nowhere = nowhere.map_err(|error| error.to_string())?;
    nix::unistd::dup2_stdout(nowhere).map_err(|error| error.to_string())
}
