//! The vault on either store: what it keeps, what it refuses, and what a rotation survives.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use trinity::clock;
use trinity::config::Secret;
use trinity::data_dir::DataDir;
use trinity::db::{Db, Statement};
use trinity::state::State;
use trinity::vault::{
    CREDENTIALS_MAX, Changes, Error, Injection, Key, SecretText, VALUE_BYTES_MAX, Vault, rotate,
};
use uuid::Uuid;

use crate::server::EXECUTABLE;
use crate::store::{fresh_database, fresh_postgres_database};

/// A value that is found wherever it is left.
const SECRET: &str = "sk-test-3f9a1c7e5b2d";

/// A data directory and the database of the state, without a server.
struct World {
    dir: TempDir,
    url: Option<String>,
}

impl World {
    async fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), url: fresh_database().await }
    }

    async fn db(&self) -> Db {
        state_of(self.dir.path(), self.url.as_deref()).await
    }

    fn data_dir(&self) -> DataDir {
        DataDir::open(self.dir.path()).unwrap()
    }

    async fn open(&self, variable: Option<&Secret>) -> anyhow::Result<Vault> {
        Vault::open(self.db().await, variable, &self.data_dir(), clock::now()).await
    }
}

/// The database of a server's state, which may be running.
pub async fn state_of(dir: &Path, url: Option<&str>) -> Db {
    match url {
        None => State::open_sqlite(dir).await.unwrap().db,
        Some(url) => {
            let pool = sqlx::PgPool::connect(url).await.unwrap();
            State::open_postgres(pool).await.unwrap().db
        }
    }
}

fn set(values: &[(&str, &str)]) -> Changes {
    let one = |(name, value): &(&str, &str)| {
        (name.parse().unwrap(), Some(SecretText::from((*value).to_owned())))
    };
    values.iter().map(one).collect()
}

async fn values(vault: &Vault, agent: Uuid) -> BTreeMap<String, String> {
    let credentials = vault.read(agent).await.unwrap();
    let text = |(name, value): (_, SecretText)| {
        let name: trinity::vault::CredentialName = name;
        (name.to_string(), value.expose().to_owned())
    };
    credentials.given.into_iter().map(text).collect()
}

fn map(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn what_is_set_is_read_changed_named_and_removed() {
    let world = World::new().await;
    let vault = world.open(None).await.unwrap();
    let (agent, other) = (Uuid::now_v7(), Uuid::now_v7());
    let now = clock::now();
    vault.change(agent, &set(&[("A", SECRET), ("b.json", "{}")]), now).await.unwrap();
    vault.change(other, &set(&[("A", "another")]), now).await.unwrap();
    vault.change(agent, &set(&[("A", "newer"), ("C", "")]), now).await.unwrap();
    assert_eq!(values(&vault, agent).await, map(&[("A", "newer"), ("C", ""), ("b.json", "{}")]));
    let names = |entries: Vec<trinity::vault::Entry>| -> Vec<String> {
        entries.into_iter().map(|entry| entry.name).collect()
    };
    assert_eq!(names(vault.entries(agent).await.unwrap()), ["A", "C", "b.json"]);
    let removed = Changes::from([("A".parse().unwrap(), None), ("no.x".parse().unwrap(), None)]);
    vault.change(agent, &removed, now).await.unwrap();
    assert_eq!(values(&vault, agent).await, map(&[("C", ""), ("b.json", "{}")]));
    assert_eq!(values(&vault, other).await, map(&[("A", "another")]));
    assert_eq!(values(&vault, Uuid::now_v7()).await, BTreeMap::new());
    drop(vault);
    let again = world.open(None).await.unwrap();
    assert_eq!(values(&again, other).await, map(&[("A", "another")]), "after a restart");
}

#[tokio::test]
async fn too_many_and_too_large_ones_are_refused_and_change_nothing() {
    let world = World::new().await;
    let vault = world.open(None).await.unwrap();
    let agent = Uuid::now_v7();
    let many: Vec<_> = (0..CREDENTIALS_MAX).map(|number| format!("N{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
    vault.change(agent, &set(&many), clock::now()).await.unwrap();
    let one_more = vault.change(agent, &set(&[("MORE", "x")]), clock::now()).await;
    assert!(matches!(one_more, Err(Error::Bounds(_))), "{one_more:?}");
    let large = "x".repeat(VALUE_BYTES_MAX + 1);
    let large = vault.change(agent, &set(&[("N1", &large)]), clock::now()).await;
    assert!(matches!(large, Err(Error::Bounds(_))), "{large:?}");
    let half = "x".repeat(VALUE_BYTES_MAX);
    let three = set(&[("N1", &half), ("N2", &half), ("N3", &half)]);
    let three = vault.change(agent, &three, clock::now()).await;
    assert!(matches!(three, Err(Error::Bounds(_))), "{three:?}");
    assert_eq!(values(&vault, agent).await["N1"], "x");
}

#[tokio::test]
async fn changes_at_the_same_time_are_all_kept() {
    let world = World::new().await;
    let vault = Arc::new(world.open(None).await.unwrap());
    let agent = Uuid::now_v7();
    let changes = (0..8).map(|number| {
        let (vault, name) = (Arc::clone(&vault), format!("N{number}"));
        tokio::spawn(async move {
            vault.change(agent, &set(&[(name.as_str(), "x")]), clock::now()).await.unwrap();
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap();
    }
    assert_eq!(values(&vault, agent).await.len(), 8);
}

#[tokio::test]
async fn what_was_moved_or_altered_in_the_database_does_not_open() {
    let world = World::new().await;
    let vault = world.open(None).await.unwrap();
    let db = world.db().await;
    let (agent, other) = (Uuid::now_v7(), Uuid::now_v7());
    let run = async |sql: String| {
        db.execute(Statement::new(sql)).await.unwrap();
    };
    for agent in [agent, other] {
        vault.change(agent, &set(&[("A", SECRET), ("B", "x")]), clock::now()).await.unwrap();
    }
    let of = |name: &str, of: Uuid| {
        format!(
            "SELECT ciphertext FROM vault_credentials WHERE name = '{name}' AND incarnation = '{of}'"
        )
    };
    let swaps = [
        format!("UPDATE vault_credentials SET ciphertext = ({}) WHERE name = 'B'", of("A", agent)),
        format!(
            "UPDATE vault_credentials SET ciphertext = ({}) WHERE incarnation = '{agent}'",
            of("A", other)
        ),
        format!(
            "UPDATE vault_agents SET wrapped_key = (SELECT wrapped_key FROM vault_agents \
             WHERE incarnation = '{other}') WHERE incarnation = '{agent}'"
        ),
    ];
    for swap in swaps {
        run(swap.clone()).await;
        let read = vault.read(agent).await;
        assert!(matches!(read, Err(Error::Damaged { .. })), "{swap}: {read:?}");
        let shown = format!("{:?}", read.unwrap_err());
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[tokio::test]
async fn a_ciphertext_from_a_backup_is_useless_once_its_agent_is_deleted() {
    let world = World::new().await;
    let vault = world.open(None).await.unwrap();
    let db = world.db().await;
    let agent = Uuid::now_v7();
    vault.change(agent, &set(&[("A", SECRET)]), clock::now()).await.unwrap();
    let backup = "CREATE TABLE backup AS SELECT * FROM vault_credentials";
    db.execute(Statement::new(backup)).await.unwrap();
    vault.destroy(agent).await.unwrap();
    vault.destroy(agent).await.unwrap();
    let restore = "INSERT INTO vault_credentials SELECT * FROM backup";
    db.execute(Statement::new(restore)).await.unwrap();
    assert_eq!(values(&vault, agent).await, BTreeMap::new(), "there is no key to open it with");
    // A new key for that life opens nothing of it either.
    vault.change(agent, &set(&[("B", "x")]), clock::now()).await.unwrap();
    let read = vault.read(agent).await;
    assert!(matches!(read, Err(Error::Damaged { .. })), "{read:?}");
}

#[tokio::test]
async fn nothing_of_a_destroyed_key_is_left_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let db = state_of(dir.path(), None).await;
    let data_dir = DataDir::open(dir.path()).unwrap();
    let vault = Vault::open(db.clone(), None, &data_dir, clock::now()).await.unwrap();
    let agent = Uuid::now_v7();
    vault.change(agent, &set(&[("A", SECRET)]), clock::now()).await.unwrap();
    let find = "SELECT wrapped_key FROM vault_agents";
    let wrapped: Vec<Vec<u8>> = db.fetch_column(Statement::new(find)).await.unwrap();
    let is_left = || {
        let files = ["state.db", "state.db-wal"].map(|name| dir.path().join(name));
        let holds = |bytes: Vec<u8>| bytes.windows(wrapped[0].len()).any(|part| part == wrapped[0]);
        files.into_iter().any(|path| std::fs::read(path).is_ok_and(holds))
    };
    assert!(is_left());
    vault.destroy(agent).await.unwrap();
    assert!(!is_left());
}

#[tokio::test]
async fn the_fingerprint_refuses_another_key() {
    let world = World::new().await;
    let keys = ["11".repeat(32), "22".repeat(32)].map(Secret::from);
    let vault = world.open(Some(&keys[0])).await.unwrap();
    vault.change(Uuid::now_v7(), &set(&[("A", SECRET)]), clock::now()).await.unwrap();
    drop(vault);
    let error = format!("{:#}", world.open(Some(&keys[1])).await.unwrap_err());
    assert!(error.contains("TRINITY_SECRET_KEY") && !error.contains("2222"), "{error}");
    let error = format!("{:#}", world.open(None).await.unwrap_err());
    assert!(error.contains("set TRINITY_SECRET_KEY to it"), "{error}");
    world.open(Some(&keys[0])).await.unwrap();
}

#[tokio::test]
async fn a_second_node_without_the_key_of_the_first_is_refused() {
    let url = fresh_postgres_database().await;
    let nodes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let open = async |node: &TempDir, key: Option<&Secret>| {
        let data_dir = DataDir::open(node.path()).unwrap();
        let db = state_of(node.path(), Some(&url)).await;
        Vault::open(db, key, &data_dir, clock::now()).await
    };
    let agent = Uuid::now_v7();
    let first = open(&nodes[0], None).await.unwrap();
    first.change(agent, &set(&[("A", SECRET)]), clock::now()).await.unwrap();
    let error = format!("{:#}", open(&nodes[1], None).await.unwrap_err());
    assert!(error.contains("TRINITY_SECRET_KEY") && error.contains("secret.key"), "{error}");
    let key = std::fs::read_to_string(nodes[0].path().join("secret.key")).unwrap();
    let second = open(&nodes[1], Some(&Secret::from(key))).await.unwrap();
    assert_eq!(values(&second, agent).await, map(&[("A", SECRET)]));
}

#[tokio::test]
async fn what_was_given_to_an_agent_is_kept() {
    let world = World::new().await;
    let vault = world.open(None).await.unwrap();
    let agent = Uuid::now_v7();
    vault.change(agent, &set(&[("A", SECRET)]), clock::now()).await.unwrap();
    assert_eq!(vault.injection(agent).await.unwrap(), None);
    let at = chrono::DateTime::from_timestamp_micros(1_800_000_000_000_000).unwrap();
    let given = Injection { version: 3, at, names: vec!["A".into()], error: Some("e".into()) };
    vault.record_injection(agent, &given).await.unwrap();
    assert_eq!(vault.injection(agent).await.unwrap(), Some(given));
}

#[tokio::test]
async fn a_server_that_runs_while_the_key_is_rotated_stores_nothing_and_says_why() {
    let world = World::new().await;
    let vault = world.open(None).await.unwrap();
    let (agent, other) = (Uuid::now_v7(), Uuid::now_v7());
    vault.change(agent, &set(&[("A", SECRET)]), clock::now()).await.unwrap();
    let rotated = rotate(world.db().await, (None, None), &world.data_dir(), clock::now()).await;
    assert_eq!(rotated.unwrap().agents, 1);
    for agent in [agent, other] {
        let change = vault.change(agent, &set(&[("B", "x")]), clock::now()).await;
        assert!(matches!(change, Err(Error::Rotated)), "{change:?}");
    }
    assert!(matches!(vault.read(agent).await, Err(Error::Rotated)));
    let again = world.open(None).await.unwrap();
    assert_ne!(again.fingerprint(), vault.fingerprint());
    assert_eq!(values(&again, agent).await, map(&[("A", SECRET)]));
}

#[tokio::test]
async fn a_key_in_a_variable_is_rotated_to_the_one_in_another() {
    let world = World::new().await;
    let keys = ["11".repeat(32), "22".repeat(32)].map(Secret::from);
    let agent = Uuid::now_v7();
    let vault = world.open(Some(&keys[0])).await.unwrap();
    vault.change(agent, &set(&[("A", SECRET)]), clock::now()).await.unwrap();
    let rotate = async |new: Option<&Secret>| {
        let (db, data_dir) = (world.db().await, world.data_dir());
        rotate(db, (Some(&keys[0]), new), &data_dir, clock::now()).await
    };
    let error = format!("{:#}", rotate(None).await.unwrap_err());
    assert!(error.contains("TRINITY_NEW_SECRET_KEY"), "{error}");
    rotate(Some(&keys[1])).await.unwrap();
    assert!(world.open(Some(&keys[0])).await.is_err());
    let vault = world.open(Some(&keys[1])).await.unwrap();
    assert_eq!(values(&vault, agent).await, map(&[("A", SECRET)]));
}

/// Kills `trinity vault rotate` at moments all over its course, and reads everything each time.
#[tokio::test]
async fn a_rotation_that_is_killed_loses_nothing() {
    const AGENTS: usize = 60;
    const KILLS: u64 = 12;
    let world = World::new().await;
    let vault = world.open(None).await.unwrap();
    let agents: Vec<_> = (0..AGENTS).map(|_| Uuid::now_v7()).collect();
    for agent in &agents {
        vault.change(*agent, &set(&[("A", SECRET)]), clock::now()).await.unwrap();
    }
    drop(vault);
    let mut fingerprints = std::collections::BTreeSet::new();
    for kill in 0..=KILLS {
        let mut command = Command::new(EXECUTABLE);
        command.args(["vault", "rotate"]).env("TRINITY_DATA_DIR", world.dir.path());
        command.envs(world.url.iter().map(|url| ("TRINITY_DATABASE_URL", url)));
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        if kill < KILLS {
            let _ended = tokio::time::timeout(Duration::from_millis(kill * 15), child.wait()).await;
            let _gone = child.start_kill();
        }
        child.wait().await.unwrap();
        let vault = world.open(None).await.unwrap();
        fingerprints.insert(vault.fingerprint().to_owned());
        for agent in &agents {
            assert_eq!(values(&vault, *agent).await, map(&[("A", SECRET)]), "kill {kill}");
        }
    }
    assert!(fingerprints.len() > 1, "not even the last rotation came to its end");
}

#[tokio::test]
async fn nothing_is_rotated_under_a_running_server() {
    let world = World::new().await;
    let _server = world.data_dir();
    let mut command = Command::new(EXECUTABLE);
    command.args(["vault", "rotate"]).env("TRINITY_DATA_DIR", world.dir.path());
    let done = command.output().await.unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(!done.status.success() && said.contains("in use by another server"), "{said}");
}

#[test]
fn a_key_is_32_bytes() {
    assert!(Key::from_bytes(&[0; 32]).is_some() && Key::from_bytes(&[0; 33]).is_none());
}
