//! `trinity rebuild`: builds a read model again from the log.

use super::Session;
use super::client::Call;
use super::error::Result;
use super::output::{Form, print};
use super::server::Common;
use super::text::clean;

/// The longest name of a projection, in characters.
const NAME_LENGTH_MAX: usize = 63;

/// What `trinity rebuild` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The projection; `trinity health` lists them
    #[arg(value_parser = projection_name)]
    name: String,
    #[command(flatten)]
    common: Common,
}

fn projection_name(text: &str) -> Result<String, String> {
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_word && (1..=NAME_LENGTH_MAX).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("this names no projection; `trinity health` lists them".to_owned())
    }
}

impl Args {
    /// Asks the server to build the projection again.
    pub async fn execute(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        let path = format!("/api/projections/{}/rebuild", self.name);
        let answer = session.client.call(Call::post(path)).await?;
        match session.output.form() {
            Form::Json => session.output.json(&answer.body),
            Form::Text => {
                let name = clean(&self.name);
                print(&format!("{name} is being built again; see: trinity health"))
            }
        }
    }
}
