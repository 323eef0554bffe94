//! Where streams stand in Postgres, asked by many at the same time.
//!
//! Almost every request asks, and each alone would be a round trip. Questions that come while as many
//! queries are on their way as may be share the next one; else one is asked at once.

use std::sync::Arc;

use sqlx::postgres::PgPool;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::error::{LogError, Unavailable};
use super::postgres::read;
use super::store::Standing;
use crate::domain::StreamId;

/// The most questions that one query answers.
pub const QUESTIONS_MAX: usize = 256;
/// The most queries on their way: one that a dead connection holds does not hold up everybody.
pub const QUERIES_MAX: usize = 4;

const SELECT: &str = "SELECT position, ARRAY(\
         SELECT coalesce((\
             SELECT e.sequence FROM events AS e \
             WHERE e.aggregate_type = s.type AND e.aggregate_id = s.id \
             ORDER BY e.sequence DESC LIMIT 1), 0) \
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s (type, id, ordinal) \
         ORDER BY s.ordinal) \
     FROM event_log_head";

#[derive(Debug)]
struct Question {
    streams: Vec<StreamId>,
    answer: oneshot::Sender<Result<Standing, LogError>>,
}

/// The way to ask. The tasks behind it end with the last clone.
#[derive(Debug, Clone)]
pub(super) struct Standings(mpsc::Sender<Question>);

impl Standings {
    pub(super) fn of(pool: &PgPool) -> Self {
        let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
        let questions = Arc::new(Mutex::new(questions));
        for _ in 0..QUERIES_MAX {
            tokio::spawn(answer(pool.clone(), Arc::clone(&questions)));
        }
        Self(sender)
    }

    /// Where the log and these streams stand, at one moment after the call.
    pub(super) async fn ask(&self, streams: Vec<StreamId>) -> Result<Standing, LogError> {
        let (answer, answered) = oneshot::channel();
        let ended = || Unavailable::new("the reader of the log has ended");
        self.0.send(Question { streams, answer }).await.map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended().into()))
    }
}

async fn answer(pool: PgPool, questions: Arc<Mutex<mpsc::Receiver<Question>>>) {
    let mut together = Vec::new();
    loop {
        if questions.lock().await.recv_many(&mut together, QUESTIONS_MAX).await == 0 {
            return;
        }
        let streams = together.iter().flat_map(|question| &question.streams);
        let (kinds, ids): (Vec<&str>, Vec<&str>) =
            streams.map(|stream| (stream.kind.as_str(), stream.id.as_str())).unzip();
        let query = || sqlx::query_as(SELECT).bind(&kinds).bind(&ids).fetch_one(&pool);
        let found: Result<(i64, Vec<i64>), Unavailable> = read(query).await;
        let mut from = 0;
        for Question { streams, answer } in together.drain(..) {
            let versions = from..from + streams.len();
            from = versions.end;
            let standing = found.as_ref().map_err(Clone::clone).map(|(head, all)| Standing {
                head: *head,
                versions: all.get(versions).unwrap_or_default().to_vec(),
            });
            // Nobody listens when the caller has gone away.
            drop(answer.send(standing.map_err(LogError::from)));
        }
    }
}
