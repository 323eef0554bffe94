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

/// What stands between the URL and the token in the link of the first run.
const SETUP_LINK: &str = "/setup?token=";

/// What `trinity login` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "The password is asked for, or read from standard input when that is no \
                        terminal: trinity login < password-file\n\
                        With the link that the server printed at its first start, the password of \
                        the administrator is chosen: trinity login 'LINK'")]
pub struct Args {
    /// URL of the server, or its setup link [default: the server of this machine, else the one
    /// logged in to last]
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

#[derive(Debug, Deserialize)]
struct SetUp {
    username: String,
}

/// What is logged in to.
struct Target {
    url: String,
    /// The one-time token of a setup link.
    setup_token: Option<Secret>,
}

impl Args {
    /// Asks for the password, and keeps the token that the server gives for it.
    pub async fn execute(self) -> Result<()> {
        let Target { url, setup_token } = self.target()?;
        let server = Server { url: url.clone(), token: None, origin: Origin::Named };
        let client = Client::of(self.common.clone(), server)?;
        // Asked first: nobody should type a password for a server that is not there.
        client.call(Call::get("/api/health")).await?;
        let (username, password) = match &setup_token {
            None => {
                let prompt = format!("Password of {} at {}", clean(&self.username), clean(&url));
                (self.username, read_password(&prompt)?)
            }
            Some(token) => set_up(&client, token).await?,
        };
        let fields = vec![("username", Secret::from(username.clone())), ("password", password)];
        let answer = match client.call(Call::post("/api/token").form(fields)).await {
            Ok(answer) => answer,
            Err(error) => return Err(refused(&client, error).await),
        };
        let Granted { access_token: token } = answer.read()?;
        let login = Login { url, username, token };
        let path = login.store()?;
        let (user, url) = (clean(&login.username), clean(&login.url));
        let output = Output::new(&self.common);
        match output.form() {
            Form::Json => {
                let said = serde_json::json!({"url": login.url, "username": login.username});
                output.json(&said.to_string())
            }
            Form::Text => {
                print(&format!("logged in to {url} as {user}; kept in {}", path.display()))
            }
        }
    }

    fn target(&self) -> Result<Target> {
        let Some(text) = &self.server else {
            return Ok(Target { url: self.common.login_url()?, setup_token: None });
        };
        match text.split_once(SETUP_LINK) {
            Some((url, token)) => Ok(Target {
                url: server_url(url)?,
                setup_token: Some(Secret::from(token.trim().to_owned())),
            }),
            None => Ok(Target { url: server_url(text)?, setup_token: None }),
        }
    }
}

/// Chooses the password of the first administrator; gives the name and the password.
async fn set_up(client: &Client, token: &Secret) -> Result<(String, Secret)> {
    let password = read_password("New password of the administrator, 8 characters or more")?;
    if io::stdin().is_terminal() {
        let again = read_password("The same again")?;
        if again.expose() != password.expose() {
            return Err(Error::new(Exit::Usage, "these are two passwords; nothing was changed"));
        }
    }
    let body = serde_json::json!({
        "password": password.expose(),
        "confirm_password": password.expose(),
        "setup_token": token.expose(),
    });
    let answer = client.call(Call::post("/api/setup/admin-password").json(body)).await?;
    Ok((answer.read::<SetUp>()?.username, password))
}

/// Says so when the reason is that there is no user yet.
async fn refused(client: &Client, error: Error) -> Error {
    let status = client.call(Call::get("/api/setup/status")).await;
    let status = status.and_then(|answer| answer.read::<SetupStatus>());
    if matches!(status, Ok(SetupStatus { setup_completed: false })) {
        return Error::new(Exit::Auth, "this server has no administrator yet")
            .hint("trinity login 'LINK', with the setup link that it printed when it started")
            .hint("or start it with TRINITY_ADMIN_PASSWORD set");
    }
    error
}

/// Reads one line without showing it, or the first line of what is piped in.
fn read_password(prompt: &str) -> Result<Secret> {
    let unreadable =
        |error: io::Error| Error::new(Exit::Usage, format!("cannot read the password: {error}"));
    let password = if io::stdin().is_terminal() {
        eprint!("{prompt}: ");
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
