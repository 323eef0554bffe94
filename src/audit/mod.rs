//! Proves the invariants over a log, whoever wrote it.
//!
//! The checks read rows of table `events` as JSON and share nothing with the code that decides and
//! folds events: what they know of an event is written down here a second time, so that a mistake
//! there is not repeated here. They only read, take no lock, and run beside a serving process.
//!
//! One pass in the order of positions; what is kept in memory is the agents, and the executions
//! that have not ended.

mod accounts;
mod agents;
mod boundary;
mod calls;
mod causes;
mod executions;
mod life;
mod metadata;
mod order;
mod place;
mod pools;
mod report;
mod row;
mod schema;
mod source;
mod world;

pub use report::{Check, Invariant, Report, Violation};
pub use source::{OpenError, Source};

use world::World;

/// After how many events progress is told.
pub const PROGRESS_EVENTS: u64 = 100_000;

/// How a log is checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Is told every [`PROGRESS_EVENTS`] events how many are done, and how many there are.
    pub progress: Option<fn(done: u64, all: u64)>,
}

/// Checks the whole log as it stands when the reading begins.
///
/// # Errors
/// When the log cannot be opened or read; a row that makes no sense is a violation instead.
pub async fn verify(source: &Source, options: Options) -> Result<Report, OpenError> {
    let mut world = World::default();
    let standing = source.read(&mut world, options).await?;
    Ok(world.finish(source.name(), &standing))
}
