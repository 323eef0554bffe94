//! A Docker engine of one test alone, which may be killed and come back.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::docker::{address, image};
use crate::processes::{mentions, pids, with_all_below};
use crate::server::until;

/// How long its end may take before it is killed.
const STOP_MAX: Duration = Duration::from_secs(30);

/// How the engine is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// By a socket of this machine.
    Socket,
    /// By TCP on loopback, where both sides show a certificate.
    Tls,
}

/// What becomes of containers when their engine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containers {
    /// They end when it comes back.
    End,
    /// They run on, and it finds them again.
    Outlive,
}

/// A running engine with data of its own and no network.
pub struct Engine {
    folder: TempDir,
    endpoint: Endpoint,
    containers: Containers,
    port: u16,
    daemon: Child,
}

impl Engine {
    /// Starts one that has the image of tests.
    pub async fn start(endpoint: Endpoint) -> Self {
        Self::start_with(endpoint, Containers::End).await
    }

    /// Starts one that has the image of tests, and containers that may outlive it.
    pub async fn start_with(endpoint: Endpoint, containers: Containers) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = match endpoint {
            Endpoint::Socket => 0,
            Endpoint::Tls => {
                make_certificates(&folder.path().join("certificates"));
                let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                free.local_addr().unwrap().port()
            }
        };
        let daemon = spawn(folder.path(), endpoint, containers, port);
        let engine = Self { folder, endpoint, containers, port, daemon };
        engine.until_ready().await;
        let load = format!(
            "set -eo pipefail; docker -H {} save {} | docker -H {} load",
            address(),
            image(),
            engine.socket()
        );
        let loaded = Command::new("bash").args(["-c", &load]).output().unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        engine
    }

    /// Where it is found by who is to be tested.
    pub fn address(&self) -> String {
        match self.endpoint {
            Endpoint::Socket => self.socket(),
            Endpoint::Tls => format!("tcp://127.0.0.1:{}", self.port),
        }
    }

    /// The folder of the certificates that a client shows.
    pub fn certificates(&self) -> PathBuf {
        self.folder.path().join("certificates")
    }

    fn socket(&self) -> String {
        format!("unix://{}", self.folder.path().join("sock").display())
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }

    /// The processes in its containers, also in those that it has forgotten, but for what waits there for
    /// a word of the engine to become the container's first: if that never comes, nothing of the container
    /// ever ran, and only the end of the machine ends it.
    pub fn contained(&self) -> Vec<i32> {
        let supervisors = self.supervisors();
        let waits = |pid| mentions(pid, "cmdline", Path::new("runc\0init"));
        let mut contained = with_all_below(supervisors.clone());
        contained.retain(|pid| !supervisors.contains(pid) && !waits(*pid));
        contained
    }

    /// The processes that supervise one container each, and do not end with it.
    fn supervisors(&self) -> Vec<i32> {
        let shim = Path::new("containerd-shim");
        let is_one =
            |pid| mentions(pid, "cmdline", shim) && mentions(pid, "cmdline", self.folder.path());
        pids(is_one)
    }

    /// Starts it again on the same data.
    pub async fn start_again(&mut self) {
        // What it had started itself ends with it, but not at once.
        let containerd = self.folder.path().join("exec/containerd/containerd.pid");
        until("the helper of the engine has ended", async || {
            let pid = std::fs::read_to_string(&containerd).unwrap_or_default();
            let lives = !pid.is_empty() && Path::new(&format!("/proc/{}", pid.trim())).exists();
            (!lives).then_some(())
        })
        .await;
        self.daemon = spawn(self.folder.path(), self.endpoint, self.containers, self.port);
        self.until_ready().await;
    }

    async fn until_ready(&self) {
        until("the engine is ready", async || self.docker(&["version"]).ok()).await;
    }

    /// Runs the engine's own client.
    pub fn docker(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("docker").args(["-H", &self.socket()]).args(arguments).output();
        let output = output.unwrap();
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let containers = self.docker(&["ps", "-aq"]).unwrap_or_default();
        if !containers.is_empty() {
            let remove: Vec<_> = ["rm", "-f"].into_iter().chain(containers.lines()).collect();
            let _gone = self.docker(&remove);
        }
        let pid = Pid::from_raw(i32::try_from(self.daemon.id()).unwrap());
        let _gone = kill(pid, Signal::SIGTERM);
        let give_up_at = std::time::Instant::now() + STOP_MAX;
        while self.daemon.try_wait().is_ok_and(|ended| ended.is_none()) {
            if std::time::Instant::now() > give_up_at {
                let _gone = self.daemon.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // What supervised a container that a killed one has forgotten.
        for pid in self.supervisors() {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        // What a killed one has left mounted would keep its folder from being removed.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = |line: &&str| line.contains(&*self.folder.path().to_string_lossy());
        for path in mounts.lines().filter(below).filter_map(|line| line.split(' ').nth(1)) {
            let _gone = Command::new("umount").args(["-l", path]).status();
        }
    }
}

fn spawn(folder: &Path, endpoint: Endpoint, containers: Containers, port: u16) -> Child {
    let path = |name: &str| folder.join(name).display().to_string();
    let log =
        std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new("dockerd");
    command
        .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
        .args(["--pidfile", &path("pid"), "--host", &format!("unix://{}", path("sock"))])
        .args(["--bridge", "none", "--iptables=false", "--ip-masq=false", "--ip-forward=false"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    if containers == Containers::Outlive {
        command.arg("--live-restore");
    }
    if endpoint == Endpoint::Tls {
        command
            .args(["--host", &format!("tcp://127.0.0.1:{port}"), "--tlsverify"])
            .args(["--tlscacert", &path("certificates/ca.pem")])
            .args(["--tlscert", &path("certificates/server.pem")])
            .args(["--tlskey", &path("certificates/server-key.pem")]);
    }
    command.spawn().unwrap()
}

/// Makes an authority, and by it the certificates of the engine and of its client.
fn make_certificates(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let script = r#"
        openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=authority \
            -keyout ca-key.pem -out ca.pem -addext basicConstraints=critical,CA:TRUE
        sign() {
            openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$2" -out request.pem
            openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 1 \
                -out "$3" -extfile <(echo "subjectAltName=IP:127.0.0.1"; echo "extendedKeyUsage=$4")
        }
        sign engine server-key.pem server.pem serverAuth
        sign client key.pem cert.pem clientAuth
    "#;
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
