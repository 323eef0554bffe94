//! Several writers, several nodes, random conflicts: order and wholeness hold.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use trinity::domain::account::{Account, AccountCommand, AccountError, Role};
use trinity::domain::slots::{Slots, SlotsCommand, SlotsError};
use trinity::event_log::{EventLog, ExecuteError, Plan, Receipt};

use super::support::{Engine, TestDb, create_user, make_user, metadata, touch, within};

/// Few enough that every append meets others.
const STREAMS: usize = 6;
const NODES: usize = 3;
const WRITERS_PER_NODE: usize = 6;
const APPENDS_PER_WRITER: usize = 40;

/// Appends one to three events to each of one to three streams, with up to two guards.
async fn random_append(log: &EventLog) -> Result<Receipt, ExecuteError<SlotsError>> {
    let mut streams: Vec<usize> = (0..STREAMS).collect();
    streams.sort_by_cached_key(|_| rand::random::<u64>());
    let written = rand::random_range(1..=3);
    let guards = rand::random_range(0..=2);
    let mut plan = Plan::new();
    for stream in &streams[..written] {
        plan = plan.stream::<Slots>(stream);
    }
    for stream in &streams[written..written + guards] {
        plan = plan.guard::<Slots>(stream);
    }
    let targets: Vec<(usize, u32)> =
        streams[..written].iter().map(|stream| (*stream, rand::random_range(1..=3))).collect();
    let decide = move |decision: &mut trinity::event_log::Decision<'_>| {
        for (stream, count) in &targets {
            for _ in 0..*count {
                let seconds = u32::try_from(decision.version::<Slots>(stream)).unwrap() + 10;
                decision.decide::<Slots>(stream, SlotsCommand::SetTimeout { seconds })?;
            }
        }
        Ok(())
    };
    let ((), receipt) = log.transact(plan, metadata(), decide).await?;
    Ok(receipt)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_of_many_writers_are_dense_whole_and_in_one_order() {
    let db = TestDb::new().await;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(db.open().await);
    }
    let reader = db.open().await;
    let mut writers = Vec::new();
    for node in &nodes {
        for _ in 0..WRITERS_PER_NODE {
            let node = node.clone();
            writers.push(tokio::spawn(async move {
                let mut receipts = Vec::new();
                for _ in 0..APPENDS_PER_WRITER {
                    match random_append(&node).await {
                        Ok(receipt) => receipts.push(receipt),
                        // Others kept winning: nothing was written, and nothing is claimed.
                        Err(ExecuteError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                receipts
            }));
        }
    }
    let mut receipts = Vec::new();
    for writer in writers {
        receipts.extend(within("the appends", writer).await.unwrap());
    }
    assert!(receipts.len() > NODES * WRITERS_PER_NODE * APPENDS_PER_WRITER / 2);
    db.assert_dense().await;

    // Every node sees the same log, which is what was acknowledged, each append in one piece.
    let head = receipts.iter().map(|receipt| receipt.position).max().unwrap();
    let events: Vec<_> = {
        let feed = pin!(reader.subscribe(0));
        within("the events", feed.take(usize::try_from(head).unwrap()).collect::<Vec<_>>()).await
    };
    let events: Vec<_> = events.into_iter().map(Result::unwrap).collect();
    let acknowledged: usize = receipts.iter().map(|receipt| receipt.events.len()).sum();
    assert_eq!(events.len(), acknowledged);
    for receipt in &receipts {
        let first = usize::try_from(receipt.events[0].position - 1).unwrap();
        assert_eq!(receipt.events, events[first..first + receipt.events.len()]);
    }
    for node in &nodes {
        let mut head_here = node.watch_head();
        within("the head", head_here.wait_for(|here| *here >= head)).await.unwrap();
        assert_eq!(node.after(0, events.len()).await.unwrap(), events);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_one_node_on_one_stream_never_conflict() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "hot").await;
    let mut writers = Vec::new();
    for _ in 0..64 {
        let log = log.clone();
        writers.push(tokio::spawn(async move { touch(&log, "hot").await.version }));
    }
    let mut versions = HashSet::new();
    for writer in writers {
        assert!(versions.insert(within("the command", writer).await.unwrap()));
    }
    assert_eq!(versions, (2..=65).collect());
    db.assert_dense().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_by_one_of_many() {
    let db = TestDb::new().await;
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(db.open().await);
    }
    let mut tasks = Vec::new();
    for node in nodes.iter().cycle().take(32) {
        let node = node.clone();
        tasks.push(tokio::spawn(async move {
            node.execute::<Account>("admin", create_user("admin"), metadata()).await
        }));
    }
    let mut made = 0;
    for task in tasks {
        match within("the command", task).await.unwrap() {
            Ok(receipt) => {
                made += 1;
                assert_eq!(receipt.version, 1);
            }
            Err(ExecuteError::Refused(AccountError::AlreadyExists)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(made, 1);
}

/// Questions that come together share a query; each is answered for its own stream, and with what
/// other nodes had written before it was asked.
#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_are_each_told_of_their_own_stream() {
    const STREAMS: i64 = 12;
    const QUESTIONS: usize = 600;
    let db = TestDb::on(Engine::Postgres).await;
    let (one, two) = (db.open().await, db.open().await);
    let name = |number: i64| format!("user-{number}");
    for number in 0..STREAMS {
        make_user(&one, &name(number)).await;
        // Node two remembers the first version, which is no longer the newest of any but one.
        assert_eq!(two.state::<Account>(name(number)).await.unwrap().version, 1);
        for _ in 0..number {
            touch(&one, &name(number)).await;
        }
    }
    let ask = |number: i64| {
        let two = two.clone();
        tokio::spawn(async move { two.state::<Account>(name(number)).await.unwrap().version })
    };
    let asked = (0..STREAMS).cycle().take(QUESTIONS);
    let asked: Vec<_> = asked.map(|number| (number + 1, ask(number))).collect();
    for (version, answer) in asked {
        assert_eq!(within("the answer", answer).await.unwrap(), version);
    }
    assert_eq!(two.state::<Account>("nobody").await.unwrap().version, 0);
}

/// The state that a node remembers may be old; a decision that writes nothing must not rest on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_no_op_and_a_refusal_are_decided_on_what_other_nodes_wrote() {
    let db = TestDb::new().await;
    let (one, two) = (db.open().await, db.open().await);
    make_user(&one, "ada").await;
    let role = |role| AccountCommand::ChangeRole { role };
    // Node two remembers `user`; node one makes it `admin`.
    assert_eq!(two.state::<Account>("ada").await.unwrap().version, 1);
    let receipt = one.execute::<Account>("ada", role(Role::Admin), metadata()).await.unwrap();
    assert_eq!(receipt.version, 2);
    let receipt = two.execute::<Account>("ada", role(Role::User), metadata()).await.unwrap();
    assert_eq!((receipt.version, receipt.events.len()), (3, 1), "a no-op on the old state");

    // Node one remembers a live user, node two deletes and makes it anew.
    two.execute::<Account>("ada", AccountCommand::DeleteUser, metadata()).await.unwrap();
    let receipt = one.execute::<Account>("ada", create_user("ada"), metadata()).await.unwrap();
    assert_eq!(receipt.version, 5, "refused on the old state");

    // The receipt of a true no-op names a position at which it is one, seen by this node or not.
    let receipt = two.execute::<Account>("ada", role(Role::User), metadata()).await.unwrap();
    assert_eq!((receipt.position, receipt.version), (5, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_moved_makes_the_decision_anew() {
    let db = TestDb::new().await;
    let (one, two) = (db.open().await, db.open().await);
    make_user(&one, "ada").await;
    // Node two remembers that `ada` may.
    two.state::<Account>("ada").await.unwrap();
    let demote = AccountCommand::ChangeRole { role: Role::Admin };
    one.execute::<Account>("ada", demote, metadata()).await.unwrap();
    let plan = Plan::new().stream::<Slots>("s").guard::<Account>("ada");
    let decided = two
        .transact(plan, metadata(), |decision| {
            let Account::User { role, .. } = &*decision.state::<Account>("ada") else {
                return Ok(None);
            };
            let seen = *role;
            decision.decide::<Slots>("s", SlotsCommand::SetTimeout { seconds: 60 })?;
            Ok::<_, SlotsError>(Some(seen))
        })
        .await;
    let (seen, receipt) = decided.unwrap();
    assert_eq!(seen, Some(Role::Admin), "decided on the guard's old state");
    assert_eq!(receipt.position, 3);
}

/// A writer that has its position and does not commit holds back everybody behind it, so no reader
/// can see a later position first.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_transaction_is_never_overtaken() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    let slow = SlowWriter::begin(&db).await;
    let quick = tokio::spawn({
        let log = log.clone();
        async move { touch(&log, "ada").await }
    });
    let mut feed = pin!(log.subscribe(0));
    assert_eq!(feed.next().await.unwrap().unwrap().position, 1);
    // Long enough for the quick one to overtake, if it could.
    let overtaken = tokio::time::timeout(std::time::Duration::from_millis(700), feed.next()).await;
    assert!(overtaken.is_err(), "{overtaken:?}");
    assert!(!quick.is_finished());
    slow.commit().await;
    let receipt = within("the quick append", quick).await.unwrap();
    assert_eq!(receipt.position, 3);
    let seen: HashMap<i64, String> = {
        let two = within("both events", feed.take(2).collect::<Vec<_>>()).await;
        two.into_iter().map(Result::unwrap).map(|e| (e.position, e.stream.id.clone())).collect()
    };
    assert_eq!(seen, HashMap::from([(2, "slow".to_owned()), (3, "ada".to_owned())]));
    db.assert_dense().await;
}

/// What an append found before it waited for its place need not hold when it gets it.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_waits_while_its_streams_go_on_is_decided_anew() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    let slow = SlowWriter::begin(&db).await;
    // One writes to the stream that is being written, one has it as its guard, one has nothing of it.
    let writes = log.execute::<Account>("slow", create_user("slow"), metadata());
    let plan = Plan::new().stream::<Slots>("s").guard::<Account>("slow");
    let guarded = log.transact(plan, metadata(), |decision| {
        decision.decide::<Slots>("s", SlotsCommand::SetTimeout { seconds: 60 })?;
        Ok::<_, SlotsError>(decision.version::<Account>("slow"))
    });
    let all = async { tokio::join!(writes, guarded, touch(&log, "ada")) };
    let mut all = pin!(all);
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut all).await;
    assert!(early.is_err(), "{early:?}");
    slow.commit().await;
    let (written, guarded, apart) = within("the appends", all).await;
    assert_eq!(written.unwrap().version, 2, "the stream had an event by then");
    let (seen, receipt) = guarded.unwrap();
    assert!(seen > 0, "decided on the guard's old state");
    let mut positions = [receipt.position, apart.position];
    positions.sort_unstable();
    assert!(positions[0] > 2 && positions[1] <= 5, "{positions:?}");
    assert_eq!(log.head(), 5);
    db.assert_dense().await;
}

/// As after the loss of a primary whose newest events had not reached the standby.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_after_a_version_that_is_gone_is_decided_anew() {
    let db = TestDb::on(Engine::Postgres).await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    make_user(&log, "bob").await;
    assert_eq!(touch(&log, "ada").await.version, 2);
    db.run("DELETE FROM events WHERE position = 3; UPDATE event_log_head SET position = 2").await;
    let (ada, bob) = tokio::join!(touch(&log, "ada"), touch(&log, "bob"));
    assert_eq!((ada.version, bob.version), (2, 2));
    db.assert_dense().await;
}

/// Somebody who inserts by hand and takes their time.
enum SlowWriter {
    Sqlite(Arc<std::sync::Mutex<rusqlite::Connection>>),
    Postgres(sqlx::PgConnection),
}

impl SlowWriter {
    const INSERT: &str = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, \
         event_version, payload, metadata) VALUES ('account', 'slow', 1, 'UserDeleted', '1', \
         '{\"UserDeleted\":{}}', '{}')";

    async fn begin(db: &TestDb) -> Self {
        match db.engine {
            Engine::Sqlite => {
                let connection = rusqlite::Connection::open(db.path()).unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                connection.execute_batch(Self::INSERT).unwrap();
                Self::Sqlite(Arc::new(std::sync::Mutex::new(connection)))
            }
            Engine::Postgres => {
                let mut connection =
                    <sqlx::PgConnection as sqlx::Connection>::connect(db.url()).await.unwrap();
                sqlx::raw_sql("BEGIN").execute(&mut connection).await.unwrap();
                sqlx::raw_sql(Self::INSERT).execute(&mut connection).await.unwrap();
                Self::Postgres(connection)
            }
        }
    }

    async fn commit(self) {
        match self {
            Self::Sqlite(connection) => connection.lock().unwrap().execute_batch("COMMIT").unwrap(),
            Self::Postgres(mut connection) => {
                sqlx::raw_sql("COMMIT").execute(&mut connection).await.unwrap();
            }
        }
    }
}
