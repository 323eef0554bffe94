//! Full-text search over messages, with one notion of a word on both engines.
//!
//! A message is taken apart here, not by the database: runs of letters and digits are words, without
//! regard to case; ideographs and kana are a word each; every other visible character is a word too, so
//! that a search for `%` finds exactly the messages with a `%` in them. SQLite keeps the words in an
//! FTS5 table, Postgres as a `tsvector` under a GIN index.
//!
//! A search goes through the list window by window, the page's end first. Windows grow while they turn
//! up little and shrink when they turn up much, so neither a word in every message nor one in none
//! makes it read the whole index: SQLite bounds a window by its row numbers, Postgres by a word that
//! names the window and stands in every message of it.

use crate::db::{self, Db, Record as _, Statement, power_chunks, record};
use crate::projections::keyset::Range;
use crate::projections::page::Order;
use crate::projections::{Build, TableDef};

/// The most bytes of different words that are kept of one message; the rest is not searched.
pub const WORDS_BYTES_MAX: usize = 256 * 1024;
/// The longest word in characters; longer ones are known by their beginning.
pub const WORD_CHARS_MAX: usize = 64;
/// How many rows one step of a search answers with at most.
const FOUND_MAX: u32 = 1_000;
/// Windows hold so many powers of two of row numbers, from the narrowest to the widest.
const WINDOW_BITS: [u32; 4] = [13, 16, 19, 22];
/// A window that holds no more than this many matches is followed by a wider one.
const FEW: usize = 16;
/// Begins what stands for a character that the engines would take for no part of a word.
const SIGN: char = '\u{e000}';
/// Begins the word that names a window.
const WINDOW: char = '\u{e001}';
/// How many rows one statement writes.
const INSERT_ROWS_MAX: usize = 256;

record! {
    /// The words of a message, as the engine's own index wants them.
    #[derive(Debug, Clone)]
    pub struct MessageWords in "execution_words_v3" key(row_no: i64) {
        pub row_no: i64,
        pub words: String,
    }
}

/// The table of words with its index.
pub(super) fn table() -> TableDef {
    // Without the list of pending entries, which every search would have to read through.
    let indexes = &["USING gin ((words::tsvector)) WITH (fastupdate = off)"];
    TableDef::of::<MessageWords>(indexes).on_sqlite(|name| {
        format!(
            "CREATE VIRTUAL TABLE {name} USING fts5 \
             (words, content = '', columnsize = 0, detail = none, tokenize = 'ascii')"
        )
    })
}

/// The different words of a text, in order, as both engines store them.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut length = 0;
    for c in text.chars() {
        if c.is_alphanumeric() && !stands_alone(c) {
            length += 1;
            if length <= WORD_CHARS_MAX {
                word.push(c);
            }
            continue;
        }
        if length > 0 {
            words.push(std::mem::take(&mut word).to_lowercase());
            length = 0;
        }
        if c.is_ascii() && !c.is_ascii_whitespace() {
            words.push(format!("{SIGN}{:02x}", u32::from(c)));
        } else if !c.is_whitespace() {
            words.push(c.to_string());
        }
    }
    if length > 0 {
        words.push(word.to_lowercase());
    }
    words.sort_unstable();
    words.dedup();
    words
}

/// Whether a letter is a word by itself: ideographs and kana are written without spaces.
fn stands_alone(c: char) -> bool {
    matches!(u32::from(c), 0x2e80..=0x31ff | 0x3400..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff)
}

/// The words that name the windows around a row, the narrowest first.
fn windows_of(row_no: i64) -> impl Iterator<Item = String> {
    WINDOW_BITS.into_iter().map(move |bits| window_word(row_no >> bits, bits))
}

fn window_word(number: i64, bits: u32) -> String {
    format!("{WINDOW}{bits}x{number:x}")
}

/// The words of a message in a row.
pub(super) fn row_of(db: &Db, row_no: i64, message: &str) -> MessageWords {
    let (mut kept, mut bytes) = (words(message), 0);
    kept.retain(|word| {
        bytes += word.len();
        bytes <= WORDS_BYTES_MAX
    });
    let words = if db.is_sqlite() {
        kept.join(" ")
    } else {
        kept.extend(windows_of(row_no));
        quoted(&kept, " ")
    };
    MessageWords { row_no, words }
}

/// Words as Postgres reads them; none of them has a quote or a backslash in it.
fn quoted(words: &[String], between: &str) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(between)
}

/// What to write for these rows; SQLite's table of words knows no other way to write.
pub(super) fn insert(db: &Db, build: Build, rows: &[MessageWords]) -> Vec<Statement> {
    let table = build.table::<MessageWords>();
    let number = if db.is_sqlite() { "rowid" } else { "row_no" };
    let of = |chunk: &[MessageWords]| {
        let mut statement =
            Statement::new(format!("INSERT INTO {table} ({number}, words) VALUES "));
        for (index, row) in chunk.iter().enumerate() {
            statement.push(if index == 0 { "(" } else { ", (" }).bind(row.row_no);
            statement.push(", ").bind(row.words.as_str()).push(")");
        }
        statement
    };
    power_chunks(rows, INSERT_ROWS_MAX).map(of).collect()
}

/// A search on its way through the list.
#[derive(Debug)]
pub(in crate::projections) struct Search {
    words: Vec<String>,
    range: Range,
    order: Order,
    /// Which of [`WINDOW_BITS`] is tried next.
    level: usize,
}

impl Search {
    /// Begins a search for rows with every word of `text` in their message; none, when the text has
    /// no word to look for.
    pub(in crate::projections) async fn begin(
        db: &Db,
        text: &str,
        range: Range,
        order: Order,
    ) -> Result<Option<Self>, db::Error> {
        let words = words(text);
        if words.is_empty() {
            return Ok(None);
        }
        let range = bounded(db, range).await?;
        Ok(Some(Self { words, range, order, level: 0 }))
    }

    /// The next rows that match, in order; none at the end. A step may find nothing.
    pub(in crate::projections) async fn next(
        &mut self,
        db: &Db,
    ) -> Result<Option<Vec<i64>>, db::Error> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let bits = WINDOW_BITS[self.level];
        let number = match self.order {
            Order::NewestFirst => (self.range.to - 1) >> bits,
            Order::OldestFirst => self.range.from >> bits,
        };
        let window = Range {
            from: self.range.from.max(number << bits),
            to: self.range.to.min((number + 1) << bits),
        };
        let found: Vec<i64> = db.fetch_column(self.statement(db, number, bits, window)).await?;
        match (found.last(), self.order) {
            // There may be more of them in the window; there is no hurry to leave it.
            (Some(last), order) if found.len() == FOUND_MAX as usize => {
                self.range = self.range.after(*last, order);
                self.level = self.level.saturating_sub(1);
                return Ok(Some(found));
            }
            (_, Order::NewestFirst) => self.range.to = window.from,
            (_, Order::OldestFirst) => self.range.from = window.to,
        }
        if found.len() <= FEW {
            self.level = (self.level + 1).min(WINDOW_BITS.len() - 1);
        }
        Ok(Some(found))
    }

    /// What has not been searched yet.
    pub(in crate::projections) fn rest(&self) -> Range {
        self.range
    }

    fn statement(&self, db: &Db, number: i64, bits: u32, window: Range) -> Statement {
        let (table, word) = (MessageWords::TABLE, self.order.word());
        let mut select;
        if db.is_sqlite() {
            select = Statement::new(format!("SELECT w.rowid FROM {table}("));
            select.bind(
                self.words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" "),
            );
            select.push(") w WHERE w.rowid >= ").bind(window.from);
            select.push(" AND w.rowid < ").bind(window.to);
            select.push(&format!(" ORDER BY w.rowid {word} LIMIT ")).bind(FOUND_MAX);
            return select;
        }
        let mut wanted = vec![window_word(number, bits)];
        wanted.extend(self.words.iter().cloned());
        // OFFSET keeps the planner from walking the rows of the window instead of the index of words.
        select = Statement::new(format!(
            "SELECT m.row_no FROM (SELECT w.row_no FROM {table} w WHERE w.words::tsvector @@ "
        ));
        select.bind(quoted(&wanted, " & ")).push("::tsquery OFFSET 0) m WHERE m.row_no >= ");
        select.bind(window.from).push(" AND m.row_no < ").bind(window.to);
        select.push(&format!(" ORDER BY m.row_no {word} LIMIT ")).bind(FOUND_MAX);
        select
    }
}

/// The part of a range where there are rows at all, so that no window is looked into beyond it.
async fn bounded(db: &Db, range: Range) -> Result<Range, db::Error> {
    let table = super::ExecutionRow::TABLE;
    // Each by itself is one look into the index.
    let of = |what: &str| format!("(SELECT {what}(e.row_no) FROM {table} e)");
    let select = format!("SELECT {}, {}", of("MIN"), of("MAX"));
    let Some(mut row) = db.query(Statement::new(select)).await?.pop() else { return Ok(range) };
    let (first, last): (Option<i64>, Option<i64>) = (row.take()?, row.take()?);
    let (first, last) = (first.unwrap_or(0), last.unwrap_or(-1));
    Ok(Range { from: range.from.max(first), to: range.to.min(last.saturating_add(1)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_without_case() {
        assert_eq!(words("Deploy the SITE, the site"), ["deploy", "site", "the", "\u{e000}2c"]);
        assert_eq!(words("ÄRGER42 x"), ["x", "ärger42"]);
        assert_eq!(words(" \t\n"), Vec::<String>::new());
    }

    #[test]
    fn every_sign_is_a_word_and_none_needs_quoting() {
        let signs: String = (1u8..128).map(char::from).collect();
        for word in words(&signs) {
            assert!(word.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric()), "{word:?}");
        }
        assert_eq!(words("%"), ["\u{e000}25"]);
        assert_eq!(words("a\"b*c'"), ["a", "b", "c", "\u{e000}22", "\u{e000}27", "\u{e000}2a"]);
        assert_eq!(
            words("🚀\u{e000}25"),
            ["25", "\u{e000}", "🚀"],
            "and none is taken for another"
        );
    }

    #[test]
    fn ideographs_are_words_by_themselves() {
        assert_eq!(words("検索する"), ["す", "る", "検", "索"]);
    }

    #[test]
    fn a_long_word_is_known_by_its_beginning() {
        let long = "x".repeat(WORD_CHARS_MAX + 40);
        assert_eq!(words(&long), [&long[..WORD_CHARS_MAX]]);
    }
}
