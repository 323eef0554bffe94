//! Fills the read models of a stopped server's data directory with any number of executions, so that
//! its pages can be looked at and measured with lists as long as years make them:
//!
//!   cargo run --example fill_executions -- DATA_DIR COUNT
//!
//! Rows are made by the read model's own fold, from events that the log of the directory does not
//! hold. The read model keeps its cursor, so the server that opens it next takes it as caught up;
//! `trinity rebuild executions` takes the rows away again.

#[path = "../tests/it/projections/fill.rs"]
mod fill;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use trinity::projections::open_file;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (folder, count) = (arguments.next(), arguments.next());
    let folder = folder.context("say which data directory, and how many executions")?;
    let count: u64 = count.context("say how many executions")?.parse().context("say a number")?;
    let path = Path::new(&folder).join("views.db");
    ensure!(path.exists(), "{} is missing; start a server on it once", path.display());
    let db = open_file(&path).await?;
    let begun = Instant::now();
    fill::fill(&db, &["agents", "executions"], count).await?;
    println!("{count} executions folded in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}
