//! Sessions, passwords, counters and transcripts, on either store.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use trinity::domain::{AccountId, ExecutionId};
use trinity::state::State;
use trinity::state::avatars::Avatar;
use trinity::state::claims::{CLAIM_SECONDS, Claim};
use trinity::state::logins::LOGIN_FAILURES_MAX;
use trinity::state::sessions::SESSION_SECONDS;
use trinity::state::transcripts::{CHUNK_BYTES_MAX, Error, READ_BYTES_MAX, READ_LINES_MAX};
use trinity_agent_protocol::{LineStream, OutputLine};
use uuid::Uuid;

use crate::store::fresh_database;

/// A state on an empty store, and the folder it may need.
async fn fresh() -> (State, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let state = open(fresh_database().await.as_deref(), dir.path()).await;
    (state, dir)
}

async fn open(url: Option<&str>, dir: &std::path::Path) -> State {
    match url {
        None => State::open_sqlite(dir).await.unwrap(),
        Some(url) => State::open_postgres(PgPool::connect(url).await.unwrap()).await.unwrap(),
    }
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn id() -> ExecutionId {
    ExecutionId(Uuid::from_u128(7))
}

fn line(seq: u64, text: &[u8]) -> OutputLine {
    let (line, raw) = OutputLine::text_and_raw(text);
    OutputLine {
        seq,
        at: time(0),
        stream: LineStream::Stdout,
        line,
        raw,
        truncated: None,
        partial: false,
        dropped: None,
    }
}

fn lines(range: std::ops::RangeInclusive<u64>) -> Vec<OutputLine> {
    range.map(|seq| line(seq, format!("line {seq}").as_bytes())).collect()
}

fn seqs(lines: &[OutputLine]) -> Vec<u64> {
    lines.iter().map(|line| line.seq).collect()
}

#[tokio::test]
async fn a_search_reads_on_until_it_has_enough() {
    let (state, _dir) = fresh().await;
    let transcripts = state.transcripts;
    for start in (1..=2_000).step_by(500) {
        transcripts.append(id(), &lines(start..=start + 499)).await.unwrap();
    }
    let seven = || Arc::new(|line: &OutputLine| line.line.ends_with('7'));
    let first = transcripts.search(id(), 0, 3, seven()).await.unwrap();
    assert_eq!((seqs(&first.lines), first.last_seq), (vec![7, 17, 27], 27));
    let rest = transcripts.search(id(), 27, 1_000, seven()).await.unwrap();
    assert_eq!((rest.lines.len(), rest.last_seq), (197, 2_000));
    let none = transcripts.search(id(), 0, 10, Arc::new(|_| false)).await.unwrap();
    assert_eq!((none.lines.len(), none.last_seq), (0, 2_000));
    let past = transcripts.search(id(), 2_000, 10, seven()).await.unwrap();
    assert_eq!((past.lines.len(), past.last_seq), (0, 2_000));
}

#[tokio::test]
async fn a_search_looks_through_a_bounded_part() {
    let (state, _dir) = fresh().await;
    let transcripts = state.transcripts;
    let large = vec![b'x'; CHUNK_BYTES_MAX];
    for seq in 1..=40 {
        transcripts.append(id(), &[line(seq, &large)]).await.unwrap();
    }
    let found = transcripts.search(id(), 0, 10, Arc::new(|_| false)).await.unwrap();
    assert!((32..=34).contains(&found.last_seq), "{}", found.last_seq);
    let rest = transcripts.search(id(), found.last_seq, 10, Arc::new(|_| false)).await.unwrap();
    assert_eq!(rest.last_seq, 40);
}

#[tokio::test]
async fn a_read_takes_only_the_chunks_it_needs() {
    let database = fresh_database().await;
    let dir = tempfile::tempdir().unwrap();
    let state = open(database.as_deref(), dir.path()).await;
    let transcripts = state.transcripts;
    let large = vec![b'x'; CHUNK_BYTES_MAX];
    for seq in 1..=3 {
        transcripts.append(id(), &[line(seq, &large)]).await.unwrap();
    }
    let damage = "UPDATE transcript_chunks SET body = substr(body, 1, 3) WHERE first_seq = 2";
    match &database {
        None => {
            let file = rusqlite::Connection::open(dir.path().join("transcripts.db")).unwrap();
            file.execute(damage, []).unwrap();
        }
        Some(url) => {
            sqlx::query(damage).execute(&PgPool::connect(url).await.unwrap()).await.unwrap();
        }
    }
    assert_eq!(seqs(&transcripts.before(id(), None, 1).await.unwrap()), [3]);
    assert_eq!(seqs(&transcripts.after(id(), 0, 1).await.unwrap()), [1]);
    let damaged = transcripts.after(id(), 0, 2).await.unwrap_err();
    assert!(matches!(damaged, Error::Damaged(..)), "{damaged}");
}

#[tokio::test]
async fn old_transcripts_are_found_by_their_last_line_and_removed_whole() {
    let (state, _dir) = fresh().await;
    let transcripts = state.transcripts;
    let other = ExecutionId(Uuid::from_u128(8));
    let at = |seconds, line: OutputLine| OutputLine { at: time(seconds), ..line };
    transcripts.append(id(), &[at(10, line(1, b"a")), at(20, line(2, b"b"))]).await.unwrap();
    transcripts.append(other, &[at(30, line(1, b"c"))]).await.unwrap();
    transcripts.put_response(id(), "the whole answer").await.unwrap();
    let older = |seconds, place| {
        let transcripts = transcripts.clone();
        async move {
            let old = transcripts.older_than(time(seconds), place, 10).await.unwrap();
            old.into_iter().map(|old| (old.id, old.lines)).collect::<Vec<_>>()
        }
    };
    assert_eq!(older(20, None).await, []);
    assert_eq!(older(21, None).await, [(id(), 2)]);
    assert_eq!(older(31, None).await, [(id(), 2), (other, 1)]);
    assert_eq!(older(31, Some((time(20), id()))).await, [(other, 1)]);
    assert!(transcripts.stored_bytes(id()).await.unwrap() > 0);
    transcripts.remove(id()).await.unwrap();
    transcripts.remove(id()).await.unwrap();
    assert_eq!(transcripts.stored_bytes(id()).await.unwrap(), 0);
    assert_eq!(transcripts.last_seq(id()).await.unwrap(), 0);
    assert_eq!(transcripts.after(id(), 0, 10).await.unwrap(), []);
    assert_eq!(transcripts.response(id()).await.unwrap(), None);
    assert_eq!(older(31, None).await, [(other, 1)]);
}

#[tokio::test]
async fn lines_that_are_stored_already_are_passed_over() {
    let (state, _dir) = fresh().await;
    let transcripts = state.transcripts;
    transcripts.append(id(), &lines(1..=3)).await.unwrap();
    transcripts.append(id(), &lines(2..=5)).await.unwrap();
    transcripts.append(id(), &lines(1..=5)).await.unwrap();
    assert_eq!(transcripts.last_seq(id()).await.unwrap(), 5);
    assert_eq!(transcripts.after(id(), 0, 100).await.unwrap(), lines(1..=5));
}

#[tokio::test]
async fn a_gap_is_refused_and_changes_nothing() {
    let (state, _dir) = fresh().await;
    let transcripts = state.transcripts;
    transcripts.append(id(), &lines(1..=2)).await.unwrap();
    let refused = transcripts.append(id(), &lines(4..=5)).await.unwrap_err();
    assert!(matches!(refused, Error::Gap { last: 2, found: 4 }), "{refused}");
    assert_eq!(transcripts.last_seq(id()).await.unwrap(), 2);
}

#[tokio::test]
async fn two_who_store_the_same_lines_store_them_once() {
    let (state, _dir) = fresh().await;
    let writers = (0..4).map(|_| {
        let transcripts = state.transcripts.clone();
        tokio::spawn(async move {
            for end in 1..=20 {
                transcripts.append(id(), &lines(1..=end)).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(state.transcripts.after(id(), 0, 100).await.unwrap(), lines(1..=20));
}

#[tokio::test]
async fn reads_start_anywhere_and_end_at_their_bounds() {
    let (state, _dir) = fresh().await;
    let transcripts = state.transcripts;
    for start in (1..=3_000).step_by(100) {
        transcripts.append(id(), &lines(start..=start + 99)).await.unwrap();
    }
    let read = transcripts.after(id(), 1_234, 3).await.unwrap();
    assert_eq!(seqs(&read), [1_235, 1_236, 1_237]);
    let most = transcripts.after(id(), 0, usize::MAX).await.unwrap();
    assert_eq!(most.len(), READ_LINES_MAX);
    let tail = transcripts.before(id(), None, 2).await.unwrap();
    assert_eq!(seqs(&tail), [2_999, 3_000]);
    let earlier = transcripts.before(id(), Some(101), 2).await.unwrap();
    assert_eq!(seqs(&earlier), [99, 100]);
    assert_eq!(transcripts.after(id(), 3_000, 10).await.unwrap(), []);
}

#[tokio::test]
async fn long_lines_and_broken_bytes_come_back_as_they_were() {
    let (state, _dir) = fresh().await;
    let transcripts = state.transcripts;
    let long = line(1, &vec![b'x'; 3 * CHUNK_BYTES_MAX]);
    let broken = line(2, b"ok \xff\xfe end");
    transcripts.append(id(), &[long.clone(), broken.clone()]).await.unwrap();
    assert_eq!(transcripts.after(id(), 0, 10).await.unwrap(), [long, broken.clone()]);
    let read = transcripts.after(id(), 1, 10).await.unwrap();
    assert_eq!(read[0].bytes().as_ref(), b"ok \xff\xfe end");
}

#[tokio::test]
async fn the_end_of_large_output_is_read_from_the_end() {
    let (state, _dir) = fresh().await;
    let transcripts = state.transcripts;
    let large = |seq| line(seq, seq.to_string().repeat(READ_BYTES_MAX / 4).as_bytes());
    for seq in 1..=9 {
        transcripts.append(id(), &[large(seq)]).await.unwrap();
    }
    let tail = transcripts.before(id(), None, 100).await.unwrap();
    assert_eq!(seqs(&tail), [6, 7, 8, 9], "as many as one read holds, the last ones");
    let earlier = transcripts.before(id(), Some(6), 100).await.unwrap();
    assert_eq!(seqs(&earlier), [2, 3, 4, 5]);
    assert_eq!(seqs(&transcripts.after(id(), 0, 100).await.unwrap()), [1, 2, 3, 4]);
    assert_eq!(transcripts.before(id(), Some(1), 100).await.unwrap(), []);
}

#[tokio::test]
async fn output_that_comes_line_by_line_is_packed_together() {
    let (state, dir) = fresh().await;
    let transcripts = state.transcripts;
    for seq in 1..=500 {
        transcripts.append(id(), &lines(seq..=seq)).await.unwrap();
    }
    assert_eq!(transcripts.after(id(), 0, 1_000).await.unwrap(), lines(1..=500));
    assert_eq!(seqs(&transcripts.before(id(), Some(250), 2).await.unwrap()), [248, 249]);
    let file = dir.path().join("transcripts.db");
    if file.exists() {
        let file = rusqlite::Connection::open(file).unwrap();
        let count = "SELECT COUNT(*) FROM transcript_chunks";
        let chunks: i64 = file.query_row(count, [], |row| row.get(0)).unwrap();
        assert!(chunks < 10, "{chunks} chunks for 500 short lines");
    }
}

#[tokio::test]
async fn a_reader_is_told_of_new_lines() {
    let (state, _dir) = fresh().await;
    let mut watch = state.transcripts.watch(id());
    state.transcripts.append(id(), &lines(1..=2)).await.unwrap();
    watch.changed().await.unwrap();
    assert_eq!(*watch.borrow(), 2);
}

#[tokio::test]
async fn a_long_answer_is_kept_whole() {
    let (state, _dir) = fresh().await;
    let answer = "häuser ".repeat(50_000);
    let reference = state.transcripts.put_response(id(), &answer).await.unwrap();
    assert_eq!(reference, format!("response:{}", id()));
    assert_eq!(state.transcripts.response(id()).await.unwrap().as_deref(), Some(answer.as_str()));
    assert_eq!(state.transcripts.response(ExecutionId(Uuid::nil())).await.unwrap(), None);
}

#[tokio::test]
async fn a_session_lives_as_long_as_it_is_used() {
    let (state, _dir) = fresh().await;
    let user = AccountId(Uuid::from_u128(1));
    let sessions = state.sessions;
    sessions.begin("digest", user, time(0)).await.unwrap();
    let near_end = time(SESSION_SECONDS - 1);
    assert_eq!(sessions.user("digest", near_end).await.unwrap(), Some(user));
    let prolonged = time(2 * SESSION_SECONDS - 2);
    assert_eq!(sessions.user("digest", prolonged).await.unwrap(), Some(user));
    let over = time(4 * SESSION_SECONDS);
    assert_eq!(sessions.user("digest", over).await.unwrap(), None);
    assert_eq!(sessions.user("another", time(0)).await.unwrap(), None);
    sessions.end_all(user).await.unwrap();
    assert_eq!(sessions.user("digest", prolonged).await.unwrap(), None);
}

#[tokio::test]
async fn a_password_is_checked_and_never_stored() {
    let (state, dir) = fresh().await;
    let user = AccountId(Uuid::from_u128(1));
    let passwords = state.passwords;
    assert!(!passwords.check(user, "hunter22").await.unwrap());
    passwords.set(user, "hunter22", time(0)).await.unwrap();
    assert!(passwords.check(user, "hunter22").await.unwrap());
    assert!(!passwords.check(user, "hunter23").await.unwrap());
    passwords.set(user, "another one", time(1)).await.unwrap();
    assert!(!passwords.check(user, "hunter22").await.unwrap());
    passwords.remove(user).await.unwrap();
    assert!(!passwords.check(user, "another one").await.unwrap());
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"hunter22"));
    }
}

#[tokio::test]
async fn failed_logins_have_to_wait_and_a_success_forgives_them() {
    let (state, _dir) = fresh().await;
    let logins = state.logins;
    for _ in 0..LOGIN_FAILURES_MAX {
        assert_eq!(logins.must_wait_seconds("Ada", time(0)).await.unwrap(), None);
        logins.failed("ada", time(0)).await.unwrap();
    }
    assert!(logins.must_wait_seconds("ADA", time(1)).await.unwrap().is_some());
    assert_eq!(logins.must_wait_seconds("eve", time(1)).await.unwrap(), None);
    assert_eq!(logins.must_wait_seconds("ada", time(1_000)).await.unwrap(), None);
    logins.succeeded("ada").await.unwrap();
    assert_eq!(logins.must_wait_seconds("ada", time(1)).await.unwrap(), None);
}

#[tokio::test]
async fn the_use_of_a_key_adds_up() {
    let (state, _dir) = fresh().await;
    let key = AccountId(Uuid::from_u128(9));
    let never = AccountId(Uuid::from_u128(10));
    assert_eq!(state.key_usages.of(&[key, never]).await.unwrap().len(), 0);
    state.key_usages.count(key, time(1));
    state.key_usages.flush().await.unwrap();
    state.key_usages.flush().await.unwrap();
    state.key_usages.count(key, time(3));
    state.key_usages.count(key, time(2));
    // What is not in the store yet is counted too, and only once when it is.
    for _ in 0..2 {
        let usage = state.key_usages.of(&[key, never]).await.unwrap();
        let usage = usage.values().map(|usage| (usage.usage_count, usage.last_used_at));
        assert_eq!(usage.collect::<Vec<_>>(), [(3, time(3))]);
        state.key_usages.flush().await.unwrap();
    }
}

#[tokio::test]
async fn a_claim_is_new_once_and_known_again_for_a_day() {
    let (state, _dir) = fresh().await;
    let id = Uuid::from_u128(11);
    let claim = async |fingerprint: &str, salt: &str, at: i64| {
        state.claims.claim(id, fingerprint, salt, time(at)).await.unwrap()
    };
    assert_eq!(claim("one", "first", 0).await, Claim::New);
    assert_eq!(claim("one", "second", 1).await, Claim::Repeated { salt: "first".into() });
    assert_eq!(claim("two", "third", 2).await, Claim::Taken);
    assert_eq!(claim("two", "fourth", CLAIM_SECONDS + 1).await, Claim::New);
}

#[tokio::test]
async fn a_picture_is_found_by_its_digest_and_stays_until_another_is_named() {
    let (state, _dir) = fresh().await;
    let (avatars, agent, other) = (state.avatars, Uuid::from_u128(1), Uuid::from_u128(2));
    let picture = |sha256: &str| Avatar {
        sha256: sha256.to_owned(),
        content_type: "image/png".to_owned(),
        image: sha256.as_bytes().to_vec(),
    };
    for (of, sha256) in [(agent, "a"), (agent, "b"), (agent, "b"), (other, "a")] {
        avatars.keep(of, picture(sha256)).await.unwrap();
    }
    for sha256 in ["a", "b"] {
        assert_eq!(avatars.get(agent, sha256).await.unwrap(), Some(picture(sha256)));
    }
    avatars.remove_all_but(agent, Some("a")).await.unwrap();
    assert_eq!(avatars.get(agent, "a").await.unwrap(), Some(picture("a")));
    assert_eq!(avatars.get(agent, "b").await.unwrap(), None);
    avatars.remove_all_but(agent, None).await.unwrap();
    assert_eq!(avatars.get(agent, "a").await.unwrap(), None);
    assert_eq!(avatars.get(other, "a").await.unwrap(), Some(picture("a")));
}
