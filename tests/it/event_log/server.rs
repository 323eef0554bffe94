//! A Postgres server of one's own to kill, and a wire to it that can be cut.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::{LIMIT, environment};

/// A server in a temporary folder, stopped when dropped, also when the test is killed.
pub struct Server {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Server {
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        if nix::unistd::geteuid().is_root() {
            let user = nix::unistd::User::from_name("postgres").unwrap().unwrap();
            nix::unistd::chown(folder.path(), Some(user.uid), Some(user.gid)).unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { folder, port, process: None };
        let init = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "-D"];
        let made = server.program("initdb").args(init).arg(server.data()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.run();
        server
    }

    /// Starts the server, again after [`Server::kill`], and waits until it answers.
    pub fn run(&mut self) {
        let port = self.port.to_string();
        let process = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=on", "-k"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let deadline = std::time::Instant::now() + LIMIT;
        let answers = || {
            let mut ready = self.program("pg_isready");
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port]).status().unwrap().success()
        };
        while !answers() {
            assert!(std::time::Instant::now() < deadline, "the server did not start");
            std::thread::yield_now();
        }
    }

    /// Ends the server as `pg_ctl stop -m immediate` does: no shutdown, recovery at the next start.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(process.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT).unwrap();
        process.wait().unwrap();
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of the server's, as the user it accepts; it ends with the test.
    fn program(&self, name: &str) -> Command {
        let bin = environment("TRINITY_TEST_POSTGRES_BIN").expect(
            "TRINITY_TEST_POSTGRES_BIN is not set: run the tests by `make test`, \
             or as `scripts/with-postgres cargo test`",
        );
        let mut command = Command::new("setpriv");
        if nix::unistd::geteuid().is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
        }
        command.args(["--pdeathsig", "QUIT"]).arg(PathBuf::from(bin).join(name));
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Forwards to a server until it sees a mark: the answer to that is swallowed and the wire is cut.
pub struct Wire {
    pub port: u16,
    pub was_cut: Arc<AtomicBool>,
}

impl Wire {
    pub async fn to(server_port: u16, mark: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let was_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&was_cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let cut = Arc::clone(&cut);
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", server_port)).await;
                    // A wire without a server behind it closes.
                    if let Ok(server) = server {
                        forward(client, server, mark, &cut).await;
                    }
                });
            }
        });
        Self { port, was_cut }
    }
}

async fn forward(mut client: TcpStream, mut server: TcpStream, mark: &[u8], cut: &AtomicBool) {
    let (mut said, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut said) => {
                let Ok(1..) = read else { return };
                let said = &said[..read.unwrap_or_default()];
                if server.write_all(said).await.is_err() {
                    return;
                }
                let marked = said.windows(mark.len()).any(|window| window == mark);
                if marked && !cut.swap(true, Ordering::SeqCst) {
                    // The server has done it once it answers.
                    drop(server.read(&mut answered).await);
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(1..) = read else { return };
                if client.write_all(&answered[..read.unwrap_or_default()]).await.is_err() {
                    return;
                }
            }
        }
    }
}
