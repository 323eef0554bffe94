//! What a run cannot reach, tried by runs themselves: as root with users of their own, as root with
//! Landlock alone, and as a plain user.

use std::collections::HashSet;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use trinity_agent_server::{ServerRecord, landlock_abi};

use crate::processes::pids;
use crate::server::{Server, until};

/// The user of a server that is not root's; of nobody else, so that nothing of it is shared.
const PLAIN_UID: u32 = 64_873;

/// What a victim keeps where nobody else is to read it.
const SECRET: &str = "the-secret-of-the-victim";

/// How many attempts one run makes; each is an op of its script.
const ATTEMPTS_MAX: usize = 40;

/// A kind of server, and what its agents say of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// As root, with a user for each agent.
    OwnUsers,
    /// As root, with Landlock alone.
    RootWithLandlock,
    /// As a plain user.
    PlainUser,
}

impl Mode {
    /// Starts a server; `None` where this test cannot have one.
    async fn server(self) -> Option<Server> {
        let is_root = geteuid().is_root();
        match self {
            Self::OwnUsers if is_root => Some(Server::start().await),
            Self::RootWithLandlock if is_root => {
                Some(Server::start_with(&[("TRINITY_ISOLATION", "landlock")]).await)
            }
            Self::OwnUsers | Self::RootWithLandlock => {
                eprintln!("skipped: only root can start such a server");
                None
            }
            Self::PlainUser if is_root => Some(Server::start_as(PLAIN_UID).await),
            Self::PlainUser => Some(Server::start().await),
        }
    }

    fn kind(self) -> &'static str {
        if self == Self::OwnUsers { "uid" } else { "landlock" }
    }
}

/// Two agents of one server, one of which runs something and keeps a secret.
struct Neighbours {
    server: Server,
    victim: PathBuf,
    spy: PathBuf,
    /// The victim's run, which goes on.
    run: String,
}

impl Neighbours {
    async fn move_in(server: Server) -> Self {
        for name in ["victim", "spy"] {
            server.agent(name).await;
        }
        let keep = format!("exec echo {SECRET} | tee notes.txt > \"$TMPDIR/notes.txt\"");
        let run = server.script("victim", &[&keep, "exec sleep 1000"]).await;
        let victim = place(&server, "victim").await;
        let spy = place(&server, "spy").await;
        until("the victim keeps its secret", async || {
            let keeps = |path| std::fs::read(victim.join(path)).is_ok_and(|kept| !kept.is_empty());
            (keeps("tmp/notes.txt") && keeps("workspace/notes.txt")).then_some(())
        })
        .await;
        Self { server, victim, spy, run }
    }

    /// Lets the spy try shell commands; gives what each of them came to.
    async fn spy_on(&self, commands: &[String]) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        for some in commands.chunks(ATTEMPTS_MAX) {
            let ops: Vec<_> = some.iter().map(|command| format!("exec {command}")).collect();
            let ops: Vec<_> = ops.iter().map(String::as_str).collect();
            let id = self.server.script("spy", &ops).await;
            self.server.until_ended(&id).await;
            let lines = self.server.lines(&id).await;
            let blocks = lines.iter().flat_map(|line| line["blocks"].as_array().unwrap().clone());
            let results = blocks.filter(|block| block["type"] == "tool_result");
            let said = results.zip(some).map(|(result, command)| Attempt {
                command: command.clone(),
                failed: result["is_error"] == true,
                output: result["content"].as_str().unwrap().to_owned(),
            });
            let before = attempts.len();
            attempts.extend(said);
            assert_eq!(attempts.len() - before, some.len(), "{lines:#?}");
        }
        attempts
    }

    async fn finish(self) {
        let stop = format!("/api/agents/victim/executions/{}/terminate?force=true", self.run);
        self.server.post(&stop, json!({})).await.expect(200);
        self.server.until_ended(&self.run).await;
        self.server.audit().await;
    }
}

/// What a shell command of the spy came to.
#[derive(Debug)]
struct Attempt {
    command: String,
    failed: bool,
    output: String,
}

impl Attempt {
    #[track_caller]
    fn must_fail(&self) {
        assert!(self.failed, "it worked: {self:#?}");
        assert!(!self.output.contains(SECRET), "{self:#?}");
        // A link over the border of what is reached is refused as one to another disk is.
        let words = ["denied", "not permitted", "No such", "cross-device"];
        assert!(words.iter().any(|word| self.output.contains(word)), "{self:#?}");
    }
}

/// The folder of an agent.
async fn place(server: &Server, name: &str) -> PathBuf {
    let agent = server.get(&format!("/api/agents/{name}")).await.expect(200);
    server.data_dir.join("agents").join(agent["incarnation"].as_str().unwrap())
}

/// Everything below a folder but what is the spy's own: files, and folders.
fn below(folder: &Path, own: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned() {
        next += 1;
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if own.contains(&path) || kind.is_socket() {
                continue;
            }
            if kind.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    (files, folders)
}

async fn nothing_of_others_is_reached(mode: Mode) {
    let Some(server) = mode.server().await else { return };
    let world = Neighbours::move_in(server).await;
    let own = [world.spy.join("workspace"), world.spy.join("tmp")];
    let (files, folders) = below(&world.server.data_dir, &own);
    for name in ["local-token", "address", "node_id"] {
        assert!(
            files.contains(&world.server.data_dir.join(name)),
            "{name} is not there: {files:?}"
        );
    }
    let is_sqlite = world.server.database_url.is_none();
    // With Postgres the key of the credentials is a variable of the server, see below.
    for name in ["log.db", "secret.key"] {
        assert_eq!(files.contains(&world.server.data_dir.join(name)), is_sqlite, "{name}");
    }
    assert!(files.contains(&world.victim.join("workspace/notes.txt")));
    assert!(files.contains(&world.victim.join("state/server.json")));

    let commands = files.iter().map(|file| format!("cat '{}'", file.display()));
    let lists = folders.iter().map(|folder| format!("ls '{}'", folder.display()));
    let forged = world.spy.join("state/executions/forged");
    let writes = [
        format!("echo x > '{}/forged'", world.server.data_dir.display()),
        format!("mkdir '{}'", forged.display()),
        format!("echo x >> '{}/state/server.json'", world.spy.display()),
        format!("echo x > '{}/workspace/forged'", world.victim.display()),
        format!("ln '{}/workspace/notes.txt' mine", world.victim.display()),
        "echo x > /tmp/forged-by-a-spy".to_owned(),
    ];
    let all: Vec<_> = commands.chain(lists).chain(writes).collect();
    world.spy_on(&all).await.iter().for_each(Attempt::must_fail);
    world.finish().await;
}

async fn no_environment_of_others_is_read(mode: Mode) {
    let Some(server) = mode.server().await else { return };
    let world = Neighbours::move_in(server).await;
    let record = |place: &Path| ServerRecord::read(&place.join("state")).unwrap().unwrap();
    let victims = Server::processes(&world.run);
    assert!(!victims.is_empty());
    let servers = [record(&world.victim).process.pid, record(&world.spy).process.pid];
    let others: HashSet<i32> =
        victims.into_iter().chain(servers).chain([world.server.pid().as_raw(), 1]).collect();
    let commands: Vec<_> = others
        .iter()
        .flat_map(|pid| {
            [
                "cat /proc/%/environ",
                "cat /proc/%/maps",
                "cat /proc/%/fd/1",
                "ls /proc/%/cwd/",
                "ls /proc/%/root/",
            ]
            .map(|command| command.replace('%', &pid.to_string()))
        })
        .chain(others.iter().map(|pid| format!("/bin/kill -9 {pid}")))
        .collect();
    for attempt in world.spy_on(&commands).await {
        let is_kill = attempt.command.starts_with("/bin/kill");
        // Before this version Landlock does not know signals, which is said in SECURITY.md.
        if is_kill && mode != Mode::OwnUsers && landlock_abi().is_some_and(|abi| abi < 6) {
            continue;
        }
        attempt.must_fail();
    }
    // Its own it can read: the failures above are not those of a broken shell.
    let own = world.spy_on(&["cat /proc/self/environ; cat /proc/$PPID/environ".to_owned()]).await;
    assert!(!own[0].failed && own[0].output.contains("TRINITY_EXECUTION_ID"), "{own:?}");
    assert!(!Server::processes(&world.run).is_empty(), "the victim goes on");
    world.finish().await;
}

/// A search for a word in the arguments of all processes, which does not find itself.
fn search(word: &str) -> String {
    format!("grep -las '[{}]{}' /proc/[0-9]*/cmdline", &word[..1], &word[1..])
}

/// In the arguments of how many processes a run of the spy has found what it looked for.
async fn found(server: &Server, id: &str) -> usize {
    let lines = json!(server.lines(id).await).to_string();
    assert!(lines.contains("looked at 2"), "{lines}");
    let files = lines.split("/proc/").skip(1);
    files.filter(|file| file.starts_with(|first: char| first.is_ascii_digit())).count()
}

async fn no_key_of_a_command_is_an_argument(mode: Mode) {
    const END: &str = "echo looked at $((1 + 1))";
    let Some(mut server) = mode.server().await else { return };
    // Tests that run at the same time have words of their own.
    let own = std::process::id();
    let (key, word) = (format!("key-{own}-of-the-server"), format!("word-{own}-for-everybody"));
    let command = |variable| format!("env {variable}={key} /bin/sh -c 'sleep 1000; exit' {word}");
    server.kill().await;
    let commands = [command("ANTHROPIC_API_KEY"), command("GEMINI_API_KEY")];
    let [claude, gemini] = &commands;
    server
        .start_again_with(&[("TRINITY_CLAUDE_COMMAND", claude), ("TRINITY_GEMINI_COMMAND", gemini)])
        .await;
    for (name, runtime) in [("one", "claude-code"), ("two", "gemini-cli"), ("spy", "demo")] {
        server.agent_with(json!({"name": name, "runtime": runtime})).await;
    }
    let repeatedly = format!("exec for n in $(seq 300); do {}; done; {END}", search(&key));
    let spying = server.script("spy", &[&repeatedly]).await;
    server.until_status(&spying, "running").await;
    let runs = [("one", server.task("one", "x").await), ("two", server.task("two", "x").await)];
    for (_, run) in &runs {
        until("the run has the key as a variable", async || {
            let has_key = |pid: &i32| {
                let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                String::from_utf8_lossy(&variables).contains(&format!("_API_KEY={key}\0"))
            };
            Server::processes(run).iter().any(has_key).then_some(())
        })
        .await;
    }
    server.until_ended(&spying).await;
    assert_eq!(found(&server, &spying).await, 0, "while they were started");
    let again = format!("exec {}; {END}", search(&key));
    let others = format!("exec {}; {END}", search(&word));
    until("the arguments behind the program are found", async || {
        let id = server.script("spy", &[&others]).await;
        server.until_ended(&id).await;
        (found(&server, &id).await >= 2).then_some(())
    })
    .await;
    let id = server.script("spy", &[&again]).await;
    server.until_ended(&id).await;
    assert_eq!(found(&server, &id).await, 0, "while they run");
    for (agent, run) in runs {
        let stop = format!("/api/agents/{agent}/executions/{run}/terminate?force=true");
        server.post(&stop, json!({})).await.expect(200);
        server.until_ended(&run).await;
    }
    server.audit().await;
}

/// Says something to a socket; gives what comes back.
async fn ask(socket: &Path, said: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(said.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is closed at once may break instead of ending.
    let _broken = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn no_agent_server_obeys_a_run(mode: Mode) {
    const INFO: &str = "GET /info HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n";
    let Some(server) = mode.server().await else { return };
    let world = Neighbours::move_in(server).await;
    // The executable of the demo joins its standard streams to a socket, as `nc -U` does.
    let bridge = |place: &Path| {
        let socket = ServerRecord::read(&place.join("state")).unwrap().unwrap().socket;
        let request = INFO.replace("\r\n", "\\r\\n");
        let socket = socket.display();
        format!("(printf '{request}'; sleep 1) | /proc/$PPID/exe bridge '{socket}'; echo end")
    };
    for attempt in world.spy_on(&[bridge(&world.victim), bridge(&world.spy)]).await {
        assert!(attempt.output.contains("end"), "{attempt:#?}");
        assert!(!attempt.output.contains("boot_id") && !attempt.output.contains("HTTP/1.1"));
    }
    // The same request with the secret of the record is answered, without it nobody's is.
    let record = ServerRecord::read(&world.victim.join("state")).unwrap().unwrap();
    let token = record.token.unwrap();
    assert!(ask(&record.socket, &format!("{token}{INFO}")).await.contains("boot_id"));
    assert_eq!(ask(&record.socket, INFO).await, "");
    assert_eq!(ask(&record.socket, &format!("{}{INFO}", "0".repeat(token.len()))).await, "");
    world.finish().await;
}

async fn a_run_has_all_it_needs_of_its_own(mode: Mode) {
    let Some(server) = mode.server().await else { return };
    server.agent("worker").await;
    let place = place(&server, "worker").await;
    let ops = [
        "exec echo one > file && mkdir -p a/b && mv file a/b/ && ln -s a/b/file link && cat link",
        "exec echo two > \"$HOME/file\" && cat ~/file",
        "exec test -n \"$TMPDIR\" && echo three > \"$TMPDIR/file\" && cat \"$TMPDIR/file\"",
        "exec mktemp",
        "exec echo four > /dev/stderr && echo five > /dev/null && head -c 4 /dev/urandom | wc -c",
        "exec ls / > /dev/null; cat /etc/passwd > /dev/null && id -u && git --version",
        "say done",
    ];
    let id = server.script("worker", &ops).await;
    let ended = server.until_ended(&id).await;
    assert_eq!((&ended["status"], &ended["response"]), (&json!("completed"), &json!("done")));
    let lines = server.lines(&id).await;
    let blocks: Vec<Value> =
        lines.iter().flat_map(|line| line["blocks"].as_array().unwrap().clone()).collect();
    let results: Vec<_> = blocks.iter().filter(|block| block["type"] == "tool_result").collect();
    assert_eq!(results.len(), ops.len() - 1, "{blocks:#?}");
    for result in &results {
        assert_eq!(result["is_error"], false, "{result}");
    }
    let temporary = results[3]["content"].as_str().unwrap();
    assert!(temporary.starts_with(place.join("tmp").to_str().unwrap()), "{temporary}");

    let agent = server.get("/api/agents/worker").await.expect(200);
    let listed = &server.get("/api/agents").await.expect(200)[0];
    let health = server.get("/api/health").await.expect(200);
    for field in ["isolation", "landlock_abi", "run_uid"] {
        assert_eq!(agent[field], listed[field]);
    }
    assert_eq!(agent["isolation"], mode.kind());
    assert_eq!(health["isolation"]["kind"], mode.kind());
    assert_eq!(agent["landlock_abi"], json!(landlock_abi()));
    let owner = place.join("workspace/a/b/file").metadata().unwrap().uid();
    match mode {
        Mode::OwnUsers => assert_eq!(agent["run_uid"], json!(owner)),
        Mode::RootWithLandlock => assert_eq!((&agent["run_uid"], owner), (&Value::Null, 0)),
        Mode::PlainUser => assert_eq!(agent["run_uid"], Value::Null),
    }
    server.audit().await;
}

/// The lines of the start banner that say what keeps agents apart.
fn banner(log: &Path) -> Vec<String> {
    let said = std::fs::read_to_string(log).unwrap();
    let lines = said.lines().map(str::trim);
    let about = |line: &&str| line.starts_with("agents ") || line.starts_with("WARNING: isolation");
    lines.filter(about).map(str::to_owned).collect()
}

async fn the_banner_says_what_is_in_force(mode: Mode) {
    let Some(mut server) = mode.server().await else { return };
    let log = server.log_into_a_file();
    server.kill().await;
    server.start_again().await;
    let isolation = server.get("/api/health").await.expect(200)["isolation"].clone();
    assert_eq!(isolation["kind"], mode.kind());
    let landlock = landlock_abi().map(|abi| format!("Landlock ABI {abi}")).unwrap_or_default();
    let in_words = match mode {
        Mode::OwnUsers => "uid: each has a user of its own (".to_owned(),
        Mode::RootWithLandlock | Mode::PlainUser => format!("landlock: {landlock}"),
    };
    let banner_now = banner(&log);
    let begin = format!("agents on this machine, as processes; isolation {in_words}");
    assert!(banner_now[0].starts_with(&begin), "{banner_now:?}");
    assert!(banner_now[0].contains(&landlock), "{banner_now:?}");
    let warning = isolation["shortfall"].as_str();
    let warning = warning.map(|why| format!("WARNING: isolation could be better: {why}"));
    assert_eq!(banner_now[1..], warning.into_iter().collect::<Vec<_>>());

    std::fs::remove_file(&log).unwrap();
    server.kill().await;
    server.start_again_with(&[("TRINITY_ISOLATION", "none")]).await;
    let expected = [
        "agents on this machine, as processes; ISOLATION NONE: agents can read whatever this user \
         can read",
        "WARNING: isolation could be better: it was turned off by --isolation none",
    ];
    assert_eq!(banner(&log), expected);
}

/// The processes that were started with exactly these words.
fn with_words(words: &[&str]) -> Vec<i32> {
    let wanted: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    pids(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words == wanted))
}

async fn nothing_outlives_its_run(mode: Mode) {
    let Some(server) = mode.server().await else { return };
    server.agent("parent").await;
    // A number that no other test uses names the processes that hide everything else.
    let seconds = format!("{}.5", 7_000_000 + std::process::id());
    let hide = format!("exec setsid env -i setsid sleep {seconds} > /dev/null 2>&1 & sleep 0.1");
    let words = ["sleep", seconds.as_str()];

    let id = server.script("parent", &[&hide, "fork 3", "say up"]).await;
    assert_eq!(server.until_ended(&id).await["status"], "completed");
    assert!(with_words(&words).is_empty() && Server::processes(&id).is_empty());

    let id = server.script("parent", &[&hide, "fork 3", "trap INT ignore", "hang"]).await;
    until("the hidden process is there", async || (!with_words(&words).is_empty()).then_some(()))
        .await;
    let path = format!("/api/agents/parent/executions/{id}/terminate?force=true");
    server.post(&path, json!({})).await.expect(200);
    assert_eq!(server.until_ended(&id).await["status"], "cancelled");
    assert!(with_words(&words).is_empty() && Server::processes(&id).is_empty());
    server.audit().await;
}

macro_rules! in_every_mode {
    ($($behaviour:ident),* $(,)?) => {
        mod own_users {
            $(#[tokio::test] async fn $behaviour() { super::$behaviour(super::Mode::OwnUsers).await })*
        }
        mod root_with_landlock {
            $(#[tokio::test] async fn $behaviour() {
                super::$behaviour(super::Mode::RootWithLandlock).await;
            })*
        }
        mod plain_user {
            $(#[tokio::test] async fn $behaviour() { super::$behaviour(super::Mode::PlainUser).await })*
        }
    };
}

in_every_mode!(
    nothing_of_others_is_reached,
    no_environment_of_others_is_read,
    no_key_of_a_command_is_an_argument,
    no_agent_server_obeys_a_run,
    a_run_has_all_it_needs_of_its_own,
    the_banner_says_what_is_in_force,
    nothing_outlives_its_run,
);

/// What outlived runner and agent server, and says nowhere whose it is, goes with the agent's user.
#[tokio::test]
async fn a_process_that_escaped_a_crash_ends_with_its_agent() {
    let Some(server) = Mode::OwnUsers.server().await else { return };
    server.agent("parent").await;
    let seconds = format!("{}.5", 8_000_000 + std::process::id());
    let hide = format!("exec setsid env -i setsid sleep {seconds} > /dev/null 2>&1 & sleep 0.1");
    let id = server.script("parent", &[&hide, "hang"]).await;
    let escaped = until("the hidden process is there", async || {
        with_words(&["sleep", &seconds]).first().copied()
    })
    .await;
    let agent_server = ServerRecord::read(&place(&server, "parent").await.join("state"));
    let agent_server = agent_server.unwrap().unwrap().process.pid;
    // The runner first, frozen parents last, so that neither sees the other die.
    let runner = parent_of(Server::processes(&id)[0]);
    kill(Pid::from_raw(agent_server), Signal::SIGSTOP).unwrap();
    for pid in [runner, agent_server] {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    server.until_ended(&id).await;
    until("the escaped process is gone", async || {
        (!Path::new(&format!("/proc/{escaped}/environ")).exists()
            || with_words(&["sleep", &seconds]).is_empty())
        .then_some(())
    })
    .await;
}

fn parent_of(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

/// Files of an agent change hands when the isolation does, and its user stays its own.
#[tokio::test]
async fn an_agent_keeps_its_user_and_its_files_when_the_isolation_changes() {
    let Some(mut server) = Mode::OwnUsers.server().await else { return };
    server.agent("worker").await;
    let uid = server.get("/api/agents/worker").await.expect(200)["run_uid"].clone();
    assert!(uid.is_number());
    for (isolation, run_uid) in [("landlock", Value::Null), ("none", Value::Null), ("uid", uid)] {
        server.post("/api/agents/worker/stop", json!({})).await;
        server.until_phase("worker", "stopped").await;
        server.kill().await;
        server.start_again_with(&[("TRINITY_ISOLATION", isolation)]).await;
        server.post("/api/agents/worker/start", json!({})).await;
        let agent = server.until_phase("worker", "running").await;
        assert_eq!((&agent["isolation"], &agent["run_uid"]), (&json!(isolation), &run_uid));
        let command = format!("exec echo {isolation} >> diary && chmod 600 diary && cat diary");
        let id = server.script("worker", &[&command, "say ok"]).await;
        assert_eq!(server.until_ended(&id).await["status"], "completed");
        let last = server.lines(&id).await;
        assert!(format!("{last:?}").contains("\"is_error\": Bool(false)"), "{last:#?}");
    }
}

/// With as many agents as users, the next one has to wait until one is deleted.
#[tokio::test]
async fn a_user_is_given_again_only_when_nothing_of_its_agent_is_left() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can start such a server");
        return;
    }
    let server = Server::start_with(&[("TRINITY_AGENT_UIDS", "3210000-3210001")]).await;
    let uid = async |name: &str| {
        server.agent(name).await;
        server.get(&format!("/api/agents/{name}")).await.expect(200)["run_uid"].as_u64().unwrap()
    };
    let (one, two) = (uid("one").await, uid("two").await);
    assert_eq!(HashSet::from([one, two]), HashSet::from([3_210_000, 3_210_001]));

    let third = json!({"name": "three", "runtime": "demo"});
    server.post("/api/agents", third.clone()).await.expect(201);
    let failed = server.until_phase("three", "failed").await;
    let error = failed["failure"]["error"].as_str().unwrap();
    assert!(error.contains("--agent-uids"), "{error}");
    server.delete("/api/agents/three").await;
    server.delete("/api/agents/one").await;
    until("the agent is gone", async || {
        (server.get("/api/agents/one").await.status == 404).then_some(())
    })
    .await;
    assert_eq!(uid("four").await, one);
}

/// What was asked for by name is had or nothing is served.
#[tokio::test]
async fn a_server_refuses_to_start_with_less_than_was_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let closed = data.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let output = tokio::process::Command::new(crate::server::EXECUTABLE)
        .args(["serve", "--listen", "127.0.0.1:0", "--isolation", "uid", "--data-dir"])
        .arg(closed.join("data"))
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    let cause = if geteuid().is_root() { "pass through" } else { "only when root" };
    assert!(said.contains("--isolation uid") && said.contains(cause), "{said}");
}
