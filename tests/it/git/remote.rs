//! A bare repository on this machine, served over HTTP by git's own program for that.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// What opens every remote.
pub const TOKEN: &str = "ghp_4f1d9c7b2e8a6035KQx";

/// A repository and the server in front of it, which ends with the test.
pub struct Remote {
    folder: tempfile::TempDir,
    pub url: String,
    gate: Arc<Gate>,
}

/// Who is let in, and how far.
#[derive(Default)]
struct Gate {
    folder: PathBuf,
    /// Takes requests and does not answer them.
    is_silent: AtomicBool,
    waiting: AtomicUsize,
}

impl Remote {
    /// Makes one with a first commit on `main`.
    pub async fn with(files: &[(&str, &str)]) -> Self {
        let remote = Self::empty().await;
        remote.commit(files, "first");
        remote
    }

    /// Makes one that has no commit yet.
    pub async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q", "--bare", "-b", "main", "team/repo.git"]);
        let gate = Arc::new(Gate { folder: folder.path().to_owned(), ..Gate::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/team/repo.git", listener.local_addr().unwrap());
        let routes = Router::new().fallback(serve).with_state(Arc::clone(&gate));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { folder, url, gate }
    }

    /// Runs git on the repository itself; gives what it printed, trimmed.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.folder.path().join("team/repo.git"), arguments)
    }

    /// Whether the branch `main` has this file.
    pub fn has(&self, path: &str) -> bool {
        self.git(&["ls-tree", "-r", "--name-only", "main"]).lines().any(|line| line == path)
    }

    /// Makes a commit on `main` as somebody else does.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) {
        let work = tempfile::tempdir().unwrap();
        let bare = self.folder.path().join("team/repo.git");
        git(work.path(), &["clone", "-q", bare.to_str().unwrap(), "."]);
        for (path, text) in files {
            let path = work.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(work.path(), &["add", "-A"]);
        git(work.path(), &["commit", "-q", "-m", message]);
        git(work.path(), &["push", "-q", "origin", "HEAD:main"]);
    }

    /// Every byte of the repository, and every name in it.
    pub fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        add(&mut digest, &self.folder.path().join("team/repo.git"));
        hex::encode(digest.finalize())
    }

    /// Takes requests from now on and answers none of them.
    pub fn fall_silent(&self) {
        self.gate.is_silent.store(true, Ordering::SeqCst);
    }

    /// How many requests wait for an answer that will not come.
    pub fn waiting(&self) -> usize {
        self.gate.waiting.load(Ordering::SeqCst)
    }
}

fn add(digest: &mut Sha256, folder: &Path) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        digest.update(path.to_str().unwrap());
        if path.is_dir() {
            add(digest, &path);
        } else {
            digest.update(std::fs::read(&path).unwrap());
        }
    }
}

/// Runs git in a folder, with nothing of this machine's settings.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=other", "-c", "user.email=other@example.test"])
        .args(arguments)
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn is_let_in(headers: &HeaderMap) -> bool {
    let basic = format!("Basic {}", STANDARD.encode(format!("x-access-token:{TOKEN}")));
    headers.get(header::AUTHORIZATION).is_some_and(|said| said.as_bytes() == basic.as_bytes())
}

/// Answers through `git http-backend`, as a web server would.
async fn serve(
    State(gate): State<Arc<Gate>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert!(!uri.to_string().contains(TOKEN), "the token is in an address");
    if gate.is_silent.load(Ordering::SeqCst) {
        gate.waiting.fetch_add(1, Ordering::SeqCst);
        return std::future::pending().await;
    }
    if !is_let_in(&headers) {
        let refused = Response::builder().status(StatusCode::UNAUTHORIZED);
        let refused = refused.header(header::WWW_AUTHENTICATE, "Basic realm=\"git\"");
        return refused.body(Body::from("no entry")).unwrap();
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &gate.folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", &gate.folder)
        .env("REMOTE_USER", "x-access-token")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", text("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text("content-encoding"))
        .env("GIT_PROTOCOL", text("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let fed = tokio::spawn(async move { stdin.write_all(&body).await });
    let output = child.wait_with_output().await.unwrap().stdout;
    let _whole = fed.await.unwrap();
    let end = output.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(output[..end].to_vec()).unwrap();
    let mut response = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}
