//! A moving line on standard error that says what is waited for; only on a terminal.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use console::is_dumb;
use indicatif::{ProgressBar, ProgressStyle};

use super::text::one_line;

/// How often the line is drawn.
const TICK: Duration = Duration::from_millis(100);

/// What the line shows.
const TEMPLATE: &str = "{spinner:.cyan} {elapsed:>4.dim} {wide_msg}";

/// The moving line, until it is dropped.
#[derive(Debug)]
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Begins to show a line, if anybody sees it.
    pub fn new(message: &str) -> Self {
        let is_seen = stderr().is_terminal() && !is_dumb();
        let bar = is_seen.then(|| {
            let style = ProgressStyle::with_template(TEMPLATE);
            let bar = ProgressBar::new_spinner();
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(TICK);
            bar
        });
        let progress = Self(bar);
        progress.say(message);
        progress
    }

    /// Whether anybody sees it.
    pub fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Says something else.
    pub fn say(&self, message: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(one_line(message));
        }
    }

    /// Begins to count the time again.
    pub fn restart_clock(&self) {
        if let Some(bar) = &self.0 {
            bar.reset_elapsed();
        }
    }

    /// Prints with the line out of the way.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
