//! `trinity health`: how the server is.

use super::Session;
use super::client::Call;
use super::error::{Error, Exit, Result};
use super::output::{Form, cell, number, print, status, status_style};
use super::server::Common;
use super::text::{UNKNOWN, clean, one_line};
use super::wire::Health;

/// What `trinity health` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

impl Args {
    /// Prints the server's health; one that is degraded is a failure.
    pub async fn execute(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        let answer = session.client.call(Call::get("/api/health")).await?;
        let health: Health = answer.read()?;
        match session.output.form() {
            Form::Json => session.output.json(&answer.body)?,
            Form::Text => print_health(&session, &health)?,
        }
        if health.status == "healthy" {
            Ok(())
        } else {
            Err(Error::new(Exit::Failed, format!("the server is {}", health.status)))
        }
    }
}

fn print_health(session: &Session, health: &Health) -> Result<()> {
    let word = status_style(&health.status).apply_to(clean(&health.status));
    print(&format!("{} is {word}", clean(&session.client.url())))?;
    let host = health.agent_host.as_ref().map_or(UNKNOWN.to_owned(), |host| match host.as_str() {
        Some(word) => word.to_owned(),
        None => host.to_string(),
    });
    let position = health.log_position.map_or(UNKNOWN.to_owned(), |position| position.to_string());
    session.output.block(vec![
        ("version", health.version.clone()),
        ("agent host", host),
        ("log position", position),
    ])?;
    let rows = health.projections.iter().map(|(name, projection)| {
        let word = match (projection.degraded, projection.rebuilding, projection.lag) {
            (true, ..) => "degraded",
            (false, Some(_), _) => "rebuilding",
            (false, None, 0) => "current",
            (false, None, _) => "behind",
        };
        let rebuilt = projection.rebuilding.map(|position| format!("rebuilt up to {position}"));
        let more: Vec<_> =
            rebuilt.as_deref().into_iter().chain(projection.error.as_deref()).collect();
        let more = cell(one_line(&more.join("; ")));
        vec![cell(name), number(projection.position), number(projection.lag), status(word), more]
    });
    print("")?;
    session.output.table(
        &["PROJECTION", "POSITION", "LAG", "STATE", ""],
        &["POSITION"],
        rows.collect(),
        "no projections",
    )
}
