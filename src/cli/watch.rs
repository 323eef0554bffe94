//! Watches one execution to its end: its lines as they come, and what it is doing meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::Session;
use super::client::{Call, read_json};
use super::error::{Error, Exit, Result};
use super::exec::tool_calls;
use super::output::{Form, print};
use super::progress::Progress;
use super::stream::{Follow, Frame, Numbered, Step};
use super::transcript::{self, Line, Voice};
use super::wire::{Entry, Execution, StatusFrame};

/// The frames of an execution's stream that are lines of it.
const LOG: &str = "log";

/// The frames of an execution's stream that tell its state.
const STATUS: &str = "status";

/// How often the end of an execution is asked for after its stream has ended.
const POLL: Duration = Duration::from_millis(200);

/// How often that is done before the stream is opened again.
const POLLS_MAX: u32 = 25;

/// How often the place in the queue is asked for.
const QUEUE_POLL: Duration = Duration::from_secs(2);

/// The execution that is watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The agent it runs on.
    pub agent: String,
    /// Its id.
    pub id: Uuid,
    /// The life of the agent it runs in, if known; without it the current one is meant.
    pub incarnation: Option<Uuid>,
}

/// Which output the lines go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// All of them to standard output.
    Log,
    /// The answer to standard output, the work around it to standard error.
    Answer,
}

/// What was seen of an execution.
#[derive(Debug)]
pub struct Seen {
    /// The record of it, as the server wrote it.
    pub json: String,
    /// The same, read.
    pub execution: Execution,
    /// Whether anything of the answer was printed.
    pub answered: bool,
}

/// What is known while the run goes on.
#[derive(Debug, Default)]
struct State {
    status: String,
    queue_position: Option<u32>,
    cancel_phase: Option<String>,
    /// The tools that were called and have not answered: id and name.
    open_calls: BTreeMap<String, String>,
    calls: u32,
    is_lost: bool,
    last_seq: Option<u64>,
    answered: bool,
}

/// A watch that goes on.
struct Watch<'s> {
    session: &'s Session,
    watched: &'s Watched,
    lines: Lines,
    progress: Progress,
    state: RefCell<State>,
}

impl Watched {
    /// The path of its record.
    pub fn path(&self) -> String {
        format!("/api/executions/{}", self.id)
    }

    /// A call that reads below its path at its agent.
    pub fn read(&self, below: &str) -> Call {
        let path = format!("/api/agents/{}/executions/{}/{below}", self.agent, self.id);
        Call::get(path).query("incarnation", self.incarnation)
    }
}

impl Session {
    /// Prints the lines of an execution after the number `after` until it is over.
    pub async fn watch(&self, watched: &Watched, after: Option<u64>, lines: Lines) -> Result<Seen> {
        let state = State { last_seq: after, ..State::default() };
        let progress = Progress::new("waiting");
        let watch = Watch { session: self, watched, lines, progress, state: RefCell::new(state) };
        tokio::select! {
            seen = watch.to_the_end() => seen,
            never = watch.ask_for_the_queue() => match never {},
        }
    }

    /// Reads the record of an execution.
    pub async fn execution(&self, watched: &Watched) -> Result<(String, Execution)> {
        let answer = self.client.call(Call::get(watched.path())).await?;
        let execution = answer.read()?;
        Ok((answer.body, execution))
    }
}

impl Watch<'_> {
    async fn to_the_end(&self) -> Result<Seen> {
        loop {
            self.follow().await?;
            for _ in 0..POLLS_MAX {
                match self.session.execution(self.watched).await {
                    Ok((json, execution)) if execution.is_over() => {
                        let answered = self.state.borrow().answered;
                        return Ok(Seen { json, execution, answered });
                    }
                    Ok(_) => {}
                    // Gone again: the stream knows how to wait for it.
                    Err(error) if error.exit() == Some(Exit::Unreachable) => break,
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// Follows the stream until the server says that it has ended.
    async fn follow(&self) -> Result<()> {
        let call = self.watched.read("stream");
        let after = self.state.borrow().last_seq;
        let mut follow = Follow::new(&self.session.client, call, Numbered::Only(LOG), after);
        while let Some(step) = follow.next().await? {
            match step {
                Step::Reset => {
                    eprintln!("the server does not know the last lines; it begins again");
                    self.state.borrow_mut().last_seq = None;
                }
                Step::Open => self.state.borrow_mut().is_lost = false,
                Step::Lost => self.state.borrow_mut().is_lost = true,
                Step::Frame(frame) => self.take(&frame)?,
            }
            self.tell();
        }
        Ok(())
    }

    fn take(&self, frame: &Frame) -> Result<()> {
        match frame.event.as_str() {
            LOG => {
                let mut state = self.state.borrow_mut();
                state.last_seq = frame.id;
                // What says something runs, whether or not its start was told already.
                if state.may_wait() {
                    "running".clone_into(&mut state.status);
                }
                drop(state);
                self.print(&frame.data)
            }
            STATUS => {
                let status: StatusFrame = read_json(&frame.data)?;
                self.note(status);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn note(&self, frame: StatusFrame) {
        let mut state = self.state.borrow_mut();
        let status = frame.status.unwrap_or_default();
        if status == "running" && state.status != "running" {
            self.progress.restart_clock();
        }
        state.status = status;
        state.cancel_phase = frame.cancel_phase;
    }

    fn print(&self, data: &str) -> Result<()> {
        let output = self.session.output;
        match (self.lines, output.form()) {
            (Lines::Answer, Form::Json) => {
                self.count(&read_json(data)?);
                Ok(())
            }
            (Lines::Log, Form::Json) => self.progress.aside(|| output.json(data)),
            (_, Form::Text) => {
                let entry: Entry = read_json(data)?;
                self.count(&entry);
                transcript::lines(&entry).iter().try_for_each(|line| self.print_line(line))
            }
        }
    }

    fn print_line(&self, line: &Line) -> Result<()> {
        let Line { voice, text } = line;
        self.progress.aside(|| match (self.lines, voice) {
            (Lines::Answer, Voice::Work) => {
                eprintln!("{text}");
                Ok(())
            }
            (_, voice) => {
                self.state.borrow_mut().answered |= *voice == Voice::Agent;
                print(text)
            }
        })
    }

    fn count(&self, entry: &Entry) {
        let mut state = self.state.borrow_mut();
        for (id, name) in transcript::calls(entry) {
            state.calls += 1;
            state.open_calls.insert(id.to_owned(), name.to_owned());
        }
        for id in transcript::answers(entry) {
            state.open_calls.remove(id);
        }
    }

    fn tell(&self) {
        let words = self.state.borrow().words();
        self.progress.say(&format!("{} {words}", self.watched.agent));
    }

    /// Keeps the place in the queue current; it changes without an event of the execution.
    async fn ask_for_the_queue(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(QUEUE_POLL).await;
            let is_of_use = self.progress.is_shown() && self.state.borrow().may_wait();
            if is_of_use && let Ok((_, execution)) = self.session.execution(self.watched).await {
                self.state.borrow_mut().queue_position = execution.queue_position;
                self.tell();
            }
        }
    }
}

impl State {
    fn may_wait(&self) -> bool {
        !self.is_lost && matches!(self.status.as_str(), "" | "pending")
    }

    /// What it is doing, for the moving line.
    fn words(&self) -> String {
        if self.is_lost {
            return "· the server is gone; waiting for it".to_owned();
        }
        let mut words = vec![match (self.status.as_str(), self.queue_position) {
            ("" | "pending", Some(place)) => format!("waits, {place} in the queue"),
            ("" | "pending", None) => "waits for a slot".to_owned(),
            (status, _) => format!("is {status}"),
        }];
        words.extend(self.cancel_phase.as_ref().map(|phase| format!("stop: {phase}")));
        words.extend(self.open_calls.values().next_back().cloned());
        words.extend((self.calls > 0).then(|| tool_calls(self.calls)));
        words.join(" · ")
    }
}

/// The error for an execution that did not complete.
pub fn unsuccessful(execution: &Execution) -> Option<Error> {
    let reason = execution.error.as_deref().filter(|error| !error.is_empty());
    let detail = match (execution.status.as_str(), reason) {
        ("completed", _) => return None,
        ("cancelled", _) => "the execution was cancelled".to_owned(),
        (_, Some(reason)) => reason.to_owned(),
        (status, None) => format!("the execution is {status}"),
    };
    let id = execution.id;
    Some(Error::new(Exit::Failed, detail).hint(format!("trinity exec show {id}")))
}
