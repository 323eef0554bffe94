//! Finds the server and the token to call it with.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::error::{Error, Exit, Result};
use crate::config::{Secret, default_data_dir, variable};

/// The file in the data directory with a token for the users of this machine who can read it.
const LOCAL_TOKEN_FILE: &str = "local-token";

/// The file in the data directory with the URL that the server serves on.
const ADDRESS_FILE: &str = "address";

/// The URL of a server that says nothing else.
const URL_DEFAULT: &str = "http://127.0.0.1:8000";

/// Where the help lists what all commands take.
const HEADING: &str = "Server and output";

/// How to reach the server, and how to answer.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Common {
    /// URL of the server [default: that of `trinity login`, else the server of this machine]
    #[arg(long, env = "TRINITY_URL", value_name = "URL", global = true, help_heading = HEADING)]
    pub url: Option<String>,

    /// Call the server of this machine that keeps its data in DIR [env: TRINITY_DATA_DIR=]
    #[arg(long, value_name = "DIR", global = true, help_heading = HEADING)]
    pub data_dir: Option<PathBuf>,

    /// Print the server's JSON; the default unless the output is a terminal
    #[arg(long, global = true, help_heading = HEADING, conflicts_with = "text")]
    pub json: bool,

    /// Print for people, whatever the output is
    #[arg(long, global = true, help_heading = HEADING)]
    pub text: bool,
}

/// A server and the right to call it.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it is, without a slash at the end.
    pub url: String,
    /// What to say who calls.
    pub token: Option<Secret>,
    /// How it was found.
    pub origin: Origin,
}

/// How a server was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Somebody named it.
    Named,
    /// By `trinity login`.
    Login,
    /// By the files in its data directory, which a restart of the server may change.
    Local(PathBuf),
}

/// Whether a server has a data directory of this machine.
#[derive(Debug, PartialEq, Eq)]
pub enum Running {
    /// None has.
    No,
    /// One has, and serves at this URL once it is up.
    Yes(Option<String>),
    /// This user may not know.
    Unknown(String),
}

impl Running {
    /// Finds out whether a server has the data directory: it holds a lock as long as it lives.
    pub fn find(data_dir: &Path) -> Self {
        let lock = match fs::File::open(data_dir.join("lock")) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::No,
            Err(error) => return Self::Unknown(error.to_string()),
        };
        if Flock::lock(lock, FlockArg::LockSharedNonblock).is_ok() {
            return Self::No;
        }
        let address = fs::read_to_string(data_dir.join(ADDRESS_FILE)).ok();
        Self::Yes(address.map(|address| address.trim().to_owned()))
    }
}

/// What `trinity login` keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The server.
    pub url: String,
    /// Who logged in.
    pub username: String,
    /// What the server gave for it.
    pub token: String,
}

impl Common {
    /// Finds the server.
    ///
    /// A URL that was named wins, then a data directory that was named, then the login, then the
    /// server of the default data directory. `TRINITY_TOKEN` wins over every other token.
    ///
    /// # Errors
    /// When there is none of these, or a file with a token cannot be read.
    pub fn find(&self) -> Result<Server> {
        let mut server = self.find_any()?;
        if let Some(token) = variable("TRINITY_TOKEN") {
            server.token = Some(Secret::from(token));
        }
        Ok(server)
    }

    fn find_any(&self) -> Result<Server> {
        if let Some(server) = self.elsewhere()? {
            return Ok(server);
        }
        let data_dir = self.local_data_dir()?;
        local(&data_dir)?.ok_or_else(|| {
            let folder = data_dir.display();
            Error::new(Exit::Unreachable, format!("no server found: none serves from {folder}"))
                .hint("start one: trinity serve")
                .hint("or name one: trinity login URL")
        })
    }

    /// The server that was named or logged in to; none when that of a data directory is meant.
    ///
    /// # Errors
    /// When the URL is none, or the file of the login cannot be read.
    pub fn elsewhere(&self) -> Result<Option<Server>> {
        if let Some(url) = &self.url {
            let url = server_url(url)?;
            let token = self.known_token(&url)?;
            return Ok(Some(Server { url, token, origin: Origin::Named }));
        }
        if self.data_dir.is_some() {
            return Ok(None);
        }
        let of = |login: Login| {
            let token = Some(Secret::from(login.token));
            Server { url: login.url, token, origin: Origin::Login }
        };
        Ok(Login::load()?.map(of))
    }

    /// The URL to log in to when none is given: as for other commands, but a login counts last.
    pub fn login_url(&self) -> Result<String> {
        if let Some(url) = &self.url {
            return server_url(url);
        }
        let local = local(&self.local_data_dir()?)?.map(|server| server.url);
        let earlier = || Ok::<_, Error>(Login::load()?.map(|login| login.url));
        Ok(match local {
            Some(url) => url,
            None => earlier()?.unwrap_or_else(|| URL_DEFAULT.to_owned()),
        })
    }

    /// The data directory that is meant when no server elsewhere is.
    ///
    /// # Errors
    /// When none was named and this user has no home.
    pub fn local_data_dir(&self) -> Result<PathBuf> {
        let named = self.data_dir.clone().or_else(|| variable("TRINITY_DATA_DIR").map(Into::into));
        match named {
            Some(dir) => Ok(dir),
            None => default_data_dir().map_err(|error| Error::new(Exit::Usage, error.to_string())),
        }
    }

    /// The token that goes with a URL that was named, if it is known.
    fn known_token(&self, url: &str) -> Result<Option<Secret>> {
        if variable("TRINITY_TOKEN").is_some() {
            return Ok(None);
        }
        if let Some(login) = Login::load()?.filter(|login| login.url == url) {
            return Ok(Some(Secret::from(login.token)));
        }
        let local = local(&self.local_data_dir()?)?;
        Ok(local.filter(|server| server.url == url).and_then(|server| server.token))
    }
}

/// Reads what the server wrote into its data directory; it takes the address away when it stops.
fn local(data_dir: &Path) -> Result<Option<Server>> {
    let Some(address) = read(&data_dir.join(ADDRESS_FILE))? else { return Ok(None) };
    let Some(token) = read(&data_dir.join(LOCAL_TOKEN_FILE))? else { return Ok(None) };
    let url = server_url(address.trim())?;
    let token = Some(Secret::from(token.trim().to_owned()));
    Ok(Some(Server { url, token, origin: Origin::Local(data_dir.to_owned()) }))
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let detail = format!("cannot read {}: {error}", path.display());
            Err(Error::new(Exit::Auth, detail).hint("trinity login URL"))
        }
    }
}

/// Reads a URL as people write it: `localhost:8000` is one.
pub fn server_url(text: &str) -> Result<String> {
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let wrong = |why: &str| {
        Error::new(Exit::Usage, format!("`{text}` is no URL of a server: {why}"))
            .hint(format!("for example: {URL_DEFAULT}"))
    };
    let url = Url::parse(&with_scheme).map_err(|error| wrong(&error.to_string()))?;
    match (url.scheme(), url.host_str(), url.query(), url.fragment()) {
        ("http" | "https", Some(_), None, None) => {
            Ok(url.as_str().trim_end_matches('/').to_owned())
        }
        ("http" | "https", ..) => Err(wrong("it must have a host and no query")),
        _ => Err(wrong("it must begin with http:// or https://")),
    }
}

/// Whether the server is on this machine.
pub fn is_loopback(url: &str) -> bool {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

impl Login {
    /// Reads the login of this user, if there is one.
    pub fn load() -> Result<Option<Self>> {
        let path = Self::path()?;
        let Some(text) = read(&path)? else { return Ok(None) };
        toml::from_str(&text).map(Some).map_err(|_| {
            let detail = format!("cannot understand {}", path.display());
            Error::new(Exit::Auth, detail).hint("log in again: trinity login URL")
        })
    }

    /// Keeps the login for later commands, readable by this user alone.
    ///
    /// # Errors
    /// When the file cannot be written; an older login then stays.
    pub fn store(&self) -> Result<PathBuf> {
        let path = Self::path()?;
        let text = toml::to_string(self).map_err(|e| Error::new(Exit::Failed, e.to_string()))?;
        write_private(&path, &text).map_err(|error| {
            Error::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
        })?;
        Ok(path)
    }

    fn path() -> Result<PathBuf> {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))
            .ok_or_else(|| {
                Error::new(Exit::Usage, "neither XDG_CONFIG_HOME nor HOME is set")
                    .hint("set TRINITY_URL and TRINITY_TOKEN instead of logging in")
            })?;
        Ok(base.join("trinity").join("login.toml"))
    }
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_url_is_taken_as_people_write_it() {
        assert_eq!(server_url("localhost:8000").unwrap(), "http://localhost:8000");
        assert_eq!(
            server_url(" https://a.example/trinity/ ").unwrap(),
            "https://a.example/trinity"
        );
        for wrong in ["", "ftp://a", "http://", "http://a/?q=1", "http://a b"] {
            assert_eq!(server_url(wrong).unwrap_err().exit(), Some(Exit::Usage), "{wrong:?}");
        }
    }

    #[test]
    fn loopback_is_recognized_in_every_spelling() {
        for here in ["http://127.0.0.1:1", "http://localhost", "http://[::1]:8", "http://127.9.9.9"]
        {
            assert!(is_loopback(here), "{here}");
        }
        assert!(!is_loopback("http://10.0.0.1") && !is_loopback("https://localhost.example"));
    }

    #[test]
    fn the_local_server_is_found_by_its_files() {
        let dir = tempfile::tempdir().unwrap();
        assert!(local(dir.path()).unwrap().is_none());
        fs::write(dir.path().join(LOCAL_TOKEN_FILE), "t0ken\n").unwrap();
        assert!(local(dir.path()).unwrap().is_none(), "it has stopped");
        fs::write(dir.path().join(ADDRESS_FILE), "http://127.0.0.1:9/\n").unwrap();
        let server = local(dir.path()).unwrap().unwrap();
        assert_eq!(server.url, "http://127.0.0.1:9");
        assert_eq!(server.token.unwrap().expose(), "t0ken");
    }

    #[test]
    fn what_is_private_is_readable_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trinity/login.toml");
        for text in ["one", "two"] {
            write_private(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
