//! `trinity login`: keeps a token for all later commands.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use console::Term;
use serde::Deserialize;

use super::client::{Call, Client};
use super::error::{Error, Exit, Result};
use super::output::{Form, Output, print};
use super::server::{Common, Login, Origin, Server, server_url};
use super::text::clean;
use crate::config::Secret;

/// The longest password that is read, in bytes.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

/// What `trinity login` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "The password is asked for, or read from standard input when that is no \
                        terminal: trinity login < password-file")]
pub struct Args {
    /// URL of the server [default: the server of this machine, else the one logged in to last]
    server: Option<String>,
    /// Name of the user
    #[arg(long, short, default_value = "admin", value_name = "NAME")]
    username: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Deserialize)]
struct Granted {
    access_token: String,
}

#[derive(Debug, Deserialize)]
struct SetupStatus {
    setup_completed: bool,
}

impl Args {
    /// Asks for the password, and keeps the token that the server gives for it.
    pub async fn execute(self) -> Result<()> {
        let url = match &self.server {
            Some(url) => server_url(url)?,
            None => self.common.login_url()?,
        };
        let server = Server { url: url.clone(), token: None, origin: Origin::Named };
        let client = Client::of(self.common.clone(), server)?;
        // Asked first: nobody should type a password for a server that is not there.
        client.call(Call::get("/api/health")).await?;
        let password = read_password(&self.username, &url)?;
        let fields =
            vec![("username", Secret::from(self.username.clone())), ("password", password)];
        let answer = match client.call(Call::post("/api/token").form(fields)).await {
            Ok(answer) => answer,
            Err(error) => return Err(refused(&client, error).await),
        };
        let granted: Granted = answer.read()?;
        let login = Login { url, username: self.username, token: granted.access_token };
        let path = login.store()?;
        let (user, url) = (clean(&login.username), clean(&login.url));
        let output = Output::new(&self.common);
        match output.form() {
            Form::Json => output.json(
                &serde_json::json!({"url": login.url, "username": login.username}).to_string(),
            ),
            Form::Text => {
                print(&format!("logged in to {url} as {user}; kept in {}", path.display()))
            }
        }
    }
}

/// Says so when the reason is that there is no user yet.
async fn refused(client: &Client, error: Error) -> Error {
    let status = client.call(Call::get("/api/setup/status")).await;
    let status = status.and_then(|answer| answer.read::<SetupStatus>());
    if matches!(status, Ok(SetupStatus { setup_completed: false })) {
        return Error::new(Exit::Auth, "this server has no administrator yet")
            .hint("open the setup link that it printed when it started")
            .hint("or start it with TRINITY_ADMIN_PASSWORD set");
    }
    error
}

/// Reads one line without showing it, or the first line of what is piped in.
fn read_password(username: &str, url: &str) -> Result<Secret> {
    let unreadable =
        |error: io::Error| Error::new(Exit::Usage, format!("cannot read the password: {error}"));
    let password = if io::stdin().is_terminal() {
        eprint!("Password of {} at {}: ", clean(username), clean(url));
        let password = Term::stderr().read_secure_line().map_err(unreadable)?;
        eprintln!();
        password
    } else {
        let mut line = String::new();
        let stdin = io::stdin().lock().take(PASSWORD_BYTES_MAX);
        io::BufReader::new(stdin).read_line(&mut line).map_err(unreadable)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        return Err(Error::new(Exit::Usage, "the password is empty"));
    }
    Ok(Secret::from(password))
}
