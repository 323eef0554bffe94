//! Pages: every list is read newest first, a bounded number of rows at a time.
//!
//! A cursor says after which row the next page begins, never how many rows to skip, so rows that are
//! inserted meanwhile neither appear twice nor push others out. It is bound to the filter it was made
//! under.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::db::{Record, Row, Statement};

/// The most rows of one page.
pub const LIMIT_MAX: u32 = 1_000;
/// The rows of a page when nobody says how many.
pub const LIMIT_DEFAULT: u32 = 50;

const DIGEST_BYTES: usize = 8;
const CURSOR_BYTES: usize = DIGEST_BYTES + 2 * size_of::<i64>();

/// In which order a list is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest row first.
    #[default]
    NewestFirst,
    /// The oldest row first.
    OldestFirst,
}

impl Order {
    /// The word of SQL for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::NewestFirst => "DESC",
            Self::OldestFirst => "ASC",
        }
    }
}

/// What is wrong with a request for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// A limit outside its range.
    #[error("limit must be 1 to {LIMIT_MAX}")]
    Limit,
    /// No cursor of this server's making.
    #[error("this cursor is not one that a list has returned")]
    Cursor,
    /// A cursor of another list, or of the same one under another filter.
    #[error("this cursor belongs to another list or filter; begin again without it")]
    Filter,
}

/// Which rows of a list are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    limit: u32,
    after: Option<Place>,
}

/// Where a row stands in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// When the row was made, in microseconds.
    pub created_at: i64,
    /// Tells rows of the same time apart; later rows have higher numbers.
    pub row_no: i64,
}

/// A part of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; none when this is the last.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page with other items.
    pub fn map<U>(self, into: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(into).collect(), next_cursor: self.next_cursor }
    }
}

/// The filter of a list as far as its cursors depend on it.
///
/// Two filters are the same when they print the same.
pub trait Filter: std::fmt::Debug {
    /// The list, so that a cursor of one is none of another.
    const LIST: &'static str;

    /// Reads the page's bounds as a client gave them.
    fn page(&self, limit: Option<u32>, cursor: Option<&str>) -> Result<PageRequest, PageError> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(PageError::Limit);
        }
        let after = cursor.map(|cursor| decode(cursor, self.digest())).transpose()?;
        Ok(PageRequest { limit, after })
    }

    /// The cursor of the page that begins after a row.
    fn cursor_at(&self, place: Place) -> String {
        encode(place, self.digest())
    }

    /// Tells filters apart.
    fn digest(&self) -> [u8; DIGEST_BYTES] {
        let hash = Sha256::digest(format!("{}\n{self:?}", Self::LIST));
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&hash[..DIGEST_BYTES]);
        digest
    }
}

/// A row of a list.
pub trait Listed: Record {
    /// Where it stands.
    fn place(&self) -> Place;
}

impl PageRequest {
    /// The first page, of the given length.
    pub fn first(limit: u32) -> Self {
        Self { limit: limit.clamp(1, LIMIT_MAX), after: None }
    }

    /// How many rows the page holds at most.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// The number of the row after which the page begins.
    pub(super) fn after_row_no(&self) -> Option<i64> {
        self.after.map(|place| place.row_no)
    }

    /// The page after a row.
    pub(super) fn after(self, place: Place) -> Self {
        Self { after: Some(place), ..self }
    }

    /// The same page with room for that many rows.
    pub(super) fn at_least(self, limit: u32) -> Self {
        Self { limit: self.limit.max(limit), ..self }
    }

    /// Whether the page holds no more than that many rows.
    pub(super) fn is_full(&self, rows: usize) -> bool {
        rows >= self.limit as usize
    }

    /// Ends a SELECT that has a WHERE: rows after the cursor, and one more than asked for, which
    /// tells whether there is another page.
    pub(super) fn finish(&self, select: &mut Statement, alias: &str, order: Order) {
        let word = order.word();
        let comparison = if order == Order::NewestFirst { "<" } else { ">" };
        if let Some(Place { created_at, row_no }) = self.after {
            select.push(&format!(" AND ({alias}.created_at, {alias}.row_no) {comparison} ("));
            select.bind(created_at).push(", ").bind(row_no).push(")");
        }
        let by = format!(" ORDER BY {alias}.created_at {word}, {alias}.row_no {word} LIMIT ");
        select.push(&by);
        select.bind(self.limit + 1);
    }

    /// Makes the page of what that SELECT found.
    pub(super) fn page<T: Listed>(
        &self,
        filter: &impl Filter,
        found: Vec<Row>,
    ) -> Result<Page<T>, crate::db::Error> {
        let more = found.len() > self.limit as usize;
        let rows = found.into_iter().take(self.limit as usize);
        let items: Vec<T> = rows.map(|mut row| T::from_row(&mut row)).collect::<Result<_, _>>()?;
        let last = items.last().filter(|_| more).map(Listed::place);
        Ok(Page { next_cursor: last.map(|place| encode(place, filter.digest())), items })
    }
}

fn encode(place: Place, digest: [u8; DIGEST_BYTES]) -> String {
    let (created_at, row_no) = (place.created_at.to_be_bytes(), place.row_no.to_be_bytes());
    URL_SAFE_NO_PAD.encode([&digest[..], &created_at, &row_no].concat())
}

fn decode(cursor: &str, digest: [u8; DIGEST_BYTES]) -> Result<Place, PageError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| PageError::Cursor)?;
    let bytes: [u8; CURSOR_BYTES] = bytes.try_into().map_err(|_| PageError::Cursor)?;
    let (made_under, place) = bytes.split_at(DIGEST_BYTES);
    if made_under != digest {
        return Err(PageError::Filter);
    }
    let (created_at, row_no) = place.split_at(size_of::<i64>());
    let number = |bytes: &[u8]| bytes.try_into().map(i64::from_be_bytes);
    match (number(created_at), number(row_no)) {
        (Ok(created_at), Ok(row_no)) => Ok(Place { created_at, row_no }),
        _ => Err(PageError::Cursor),
    }
}
