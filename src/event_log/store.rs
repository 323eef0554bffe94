//! The reading side of either engine, and what both share: contiguity, pages, states.

use chrono::{DateTime, Utc};

use super::append::check_id;
use super::error::LogError;
use super::feed::Placed;
use super::kind::{Kind, Versioned};
use super::postgres::PostgresReader;
use super::rows::Upcasters;
use super::sqlite::SqliteReader;
use super::time;
use crate::domain::{StreamId, StreamType};

/// How many events one page of a stream takes.
const STREAM_PAGE_EVENTS_MAX: usize = 1_000;

/// Where streams stand, all seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// The last position of the whole log.
    pub(super) head: i64,
    /// The version of each stream asked for, in that order.
    pub(super) versions: Vec<i64>,
}

#[derive(Clone)]
pub(super) struct Store {
    pub(super) engine: Reader,
    pub(super) upcasters: Upcasters,
}

#[derive(Clone)]
pub(super) enum Reader {
    Sqlite(SqliteReader),
    Postgres(PostgresReader),
}

impl Store {
    /// The events after a position, contiguous; fewer than `limit` only at the end of the log.
    pub(super) async fn after(&self, position: i64, limit: usize) -> Result<Vec<Placed>, LogError> {
        match &self.engine {
            Reader::Sqlite(sqlite) => sqlite.after(&self.upcasters, position, limit).await,
            Reader::Postgres(postgres) => postgres.after(&self.upcasters, position, limit).await,
        }
    }

    /// The events of these kinds of streams between two positions, the first excluded.
    pub(super) async fn of_types(
        &self,
        types: &[StreamType],
        between: (i64, i64),
    ) -> Result<Vec<Placed>, LogError> {
        match &self.engine {
            Reader::Sqlite(sqlite) => sqlite.of_types(&self.upcasters, types, between).await,
            Reader::Postgres(postgres) => postgres.of_types(&self.upcasters, types, between).await,
        }
    }

    /// When the event at a position was recorded.
    pub(super) async fn recorded_at(
        &self,
        position: i64,
    ) -> Result<Option<DateTime<Utc>>, LogError> {
        let found = match &self.engine {
            Reader::Sqlite(sqlite) => sqlite.recorded_at(position).await?,
            Reader::Postgres(postgres) => postgres.recorded_at(position).await?,
        };
        Ok(found.map(time::from_micros))
    }

    /// The events of one stream after a version, contiguous.
    pub(super) async fn stream(
        &self,
        stream: &StreamId,
        after_version: i64,
        limit: usize,
    ) -> Result<Vec<Placed>, LogError> {
        if check_id(stream).is_err() {
            return Ok(Vec::new()); // such a stream cannot exist
        }
        let (upcasters, since) = (&self.upcasters, after_version);
        match &self.engine {
            Reader::Sqlite(sqlite) => sqlite.stream(upcasters, stream, since, limit).await,
            Reader::Postgres(postgres) => postgres.stream(upcasters, stream, since, limit).await,
        }
    }

    /// Where the log and the streams stand now.
    pub(super) async fn standing(&self, streams: Vec<StreamId>) -> Result<Standing, LogError> {
        match &self.engine {
            Reader::Sqlite(sqlite) => sqlite.standing(streams).await,
            Reader::Postgres(postgres) => postgres.standing(streams).await,
        }
    }

    /// The state of a stream: the one kept, if any, and the events since.
    pub(super) async fn load(&self, stream: &StreamId, kind: Kind) -> Result<Versioned, LogError> {
        let mut loaded = Versioned::empty(kind);
        if check_id(stream).is_err() {
            return Ok(loaded); // such a stream cannot exist
        }
        let limit = STREAM_PAGE_EVENTS_MAX;
        let (kept, page) = match &self.engine {
            Reader::Sqlite(sqlite) => sqlite.load(&self.upcasters, stream, limit).await?,
            Reader::Postgres(postgres) => postgres.load(&self.upcasters, stream, limit).await?,
        };
        let mut page = match kept.map(|kept| Versioned::restore(kind, &kept)) {
            None => page,
            Some(Ok(restored)) => {
                loaded = restored;
                page
            }
            Some(Err(error)) => {
                tracing::warn!(%stream, %error, "a kept state cannot be read; replaying the stream");
                self.stream(stream, 0, limit).await?
            }
        };
        loop {
            for placed in &page {
                loaded.evolve(placed);
            }
            if page.len() < limit {
                return Ok(loaded);
            }
            page = self.stream(stream, loaded.version, limit).await?;
        }
    }
}
