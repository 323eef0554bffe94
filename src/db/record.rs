//! Tables described once: a struct whose fields are the columns.

use std::collections::BTreeMap;

use super::{Column, Db, Error, Kind, Row, Statement, Value};

/// The most rows that one statement writes.
pub const UPSERT_ROWS_MAX: usize = 256;
/// The most parameters of one statement; SQLite allows 32,766.
pub const PARAMETERS_MAX: usize = 16_384;
/// The most keys that one statement looks up.
pub const LOOKUP_KEYS_MAX: usize = 512;

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct ColumnDef {
    /// The field's name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be absent.
    pub nullable: bool,
}

impl ColumnDef {
    /// The column of a field of type `T`.
    pub const fn of<T: Column>(name: &'static str) -> Self {
        Self { name, kind: T::KIND, nullable: T::NULLABLE }
    }
}

/// A row of a table, as macro `record!` declares it.
pub trait Record: Clone + Send + Sync {
    /// What identifies a row.
    type Key: Ord + Clone + Send + Sync;
    /// The table's name without its version.
    const TABLE: &'static str;
    /// The fields of the key.
    const KEY: &'static [&'static str];
    /// The stored fields, in the order of `values`.
    const COLUMNS: &'static [ColumnDef];

    /// Reads a row that was selected with `columns`, and its derived fields when they follow.
    fn from_row(row: &mut Row) -> Result<Self, Error>;
    /// The stored fields.
    fn values(&self) -> Vec<Value>;
    /// The row's key.
    fn key(&self) -> Self::Key;
    /// The key's values, in the order of `KEY`.
    fn key_values(key: &Self::Key) -> Vec<Value>;

    /// The list of columns for a SELECT, each with the alias of its table.
    fn columns(alias: &str) -> String {
        let names = Self::COLUMNS.iter().map(|column| format!("{alias}.{}", column.name));
        names.collect::<Vec<_>>().join(", ")
    }

    /// The statement that makes the table.
    fn create(table: &str) -> String {
        let columns = Self::COLUMNS.iter().map(|column| {
            let kind = if column.kind == Kind::Int { "BIGINT" } else { "TEXT" };
            let null = if column.nullable { "" } else { " NOT NULL" };
            format!("{} {kind}{null}", column.name)
        });
        let columns: Vec<_> = columns.collect();
        let key = Self::KEY.join(", ");
        format!("CREATE TABLE {table} ({}, PRIMARY KEY ({key}))", columns.join(", "))
    }
}

/// Declares a struct whose fields are the columns of a table, and below `derived` fields that only
/// queries fill.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident in $table:literal key($($key:ident: $key_type:ty),+) {
            $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty,)+
        }
        $(derived {
            $($(#[$derived_meta:meta])* $derived_vis:vis $derived:ident: $derived_type:ty,)+
        })?
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type,)+
            $($($(#[$derived_meta])* $derived_vis $derived: $derived_type,)+)?
        }

        impl $crate::db::Record for $name {
            type Key = $crate::db::key_of!(type $($key_type),+);
            const TABLE: &'static str = $table;
            const KEY: &'static [&'static str] = &[$(stringify!($key)),+];
            const COLUMNS: &'static [$crate::db::ColumnDef] =
                &[$($crate::db::ColumnDef::of::<$type>(stringify!($field))),+];

            fn from_row(row: &mut $crate::db::Row) -> Result<Self, $crate::db::Error> {
                Ok(Self {
                    $($field: row.take()?,)+
                    $($($derived: row.take_or_default()?,)+)?
                })
            }

            fn values(&self) -> Vec<$crate::db::Value> {
                vec![$($crate::db::Param::to_value(&self.$field)),+]
            }

            fn key(&self) -> Self::Key {
                $crate::db::key_of!(value $(self.$key.clone()),+)
            }

            fn key_values(key: &Self::Key) -> Vec<$crate::db::Value> {
                let $crate::db::key_of!(pattern $($key),+) = key;
                vec![$($crate::db::Param::to_value($key)),+]
            }
        }
    };
}
pub(crate) use record;

/// The only element, or the tuple of all.
macro_rules! key_of {
    (type $only:ty) => { $only };
    (type $($all:ty),+) => { ($($all),+) };
    (value $only:expr) => { $only };
    (value $($all:expr),+) => { ($($all),+) };
    (pattern $only:ident) => { $only };
    (pattern $($all:ident),+) => { ($($all),+) };
}
pub(crate) use key_of;

/// Writes whole rows, replacing those of the same key, in as few statements as bounds allow.
///
/// Sizes are powers of two, so that few different statements are ever prepared.
pub fn upsert<R: Record>(table: &str, rows: &[R]) -> Vec<Statement> {
    let width = R::COLUMNS.len();
    let mut statements = Vec::new();
    for chunk in power_chunks(rows, UPSERT_ROWS_MAX.min(PARAMETERS_MAX / width)) {
        let names: Vec<_> = R::COLUMNS.iter().map(|column| column.name).collect();
        let sets = names.iter().filter(|name| !R::KEY.contains(name));
        let sets: Vec<_> = sets.map(|name| format!("{name} = excluded.{name}")).collect();
        let action = if sets.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", sets.join(", "))
        };
        let mut statement =
            Statement::new(format!("INSERT INTO {table} ({}) VALUES ", names.join(", ")));
        for (index, row) in chunk.iter().enumerate() {
            statement.push(if index == 0 { "(" } else { ", (" }).bind_list(row.values()).push(")");
        }
        statement.push(&format!(" ON CONFLICT ({}) DO {action}", R::KEY.join(", ")));
        statements.push(statement);
    }
    statements
}

/// Removes the rows of these keys.
pub fn delete<R: Record>(table: &str, keys: &[R::Key]) -> Vec<Statement> {
    let of = |chunk: &[R::Key]| {
        let mut statement = Statement::new(format!("DELETE FROM {table} WHERE "));
        key_in::<R>(&mut statement, "", chunk);
        statement
    };
    power_chunks(keys, LOOKUP_KEYS_MAX).map(of).collect()
}

/// The rows of these keys that exist.
pub async fn lookup<R: Record>(db: &Db, table: &str, keys: &[R::Key]) -> Result<Vec<R>, Error> {
    let mut found = Vec::new();
    for chunk in power_chunks(keys, LOOKUP_KEYS_MAX) {
        let mut select =
            Statement::new(format!("SELECT {} FROM {table} t WHERE ", R::columns("t")));
        key_in::<R>(&mut select, "t.", chunk);
        found.extend(db.fetch(select).await?);
    }
    Ok(found)
}

/// Appends `(key, …) IN (…)` for these keys.
fn key_in<R: Record>(statement: &mut Statement, prefix: &str, keys: &[R::Key]) {
    let names: Vec<_> = R::KEY.iter().map(|name| format!("{prefix}{name}")).collect();
    if let [name] = names.as_slice() {
        let values = keys.iter().flat_map(R::key_values).collect();
        statement.push(name).push(" IN (").bind_list(values).push(")");
        return;
    }
    statement.push("(").push(&names.join(", ")).push(") IN (VALUES ");
    for (index, key) in keys.iter().enumerate() {
        let open = if index == 0 { "(" } else { ", (" };
        statement.push(open).bind_list(R::key_values(key)).push(")");
    }
    statement.push(")");
}

/// Splits into pieces whose lengths are powers of two, none longer than `max`.
pub fn power_chunks<T>(mut rest: &[T], max: usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = rest.len().min(max.max(1));
        if length == 0 {
            return None;
        }
        let (chunk, others) = rest.split_at(1 << length.ilog2());
        rest = others;
        Some(chunk)
    })
}

/// Rows of one table while a batch of events is folded: read first, changed in memory, then written.
///
/// A row that was not looked up counts as absent, so the keys to load are all that the batch touches.
#[derive(Debug)]
pub struct Rows<R: Record> {
    rows: BTreeMap<R::Key, Slot<R>>,
}

#[derive(Debug)]
struct Slot<R> {
    row: Option<R>,
    changed: bool,
}

impl<R: Record> Default for Rows<R> {
    fn default() -> Self {
        Self { rows: BTreeMap::new() }
    }
}

impl<R: Record> Rows<R> {
    /// Reads the rows of these keys.
    pub async fn load(
        db: &Db,
        table: &str,
        keys: impl IntoIterator<Item = R::Key>,
    ) -> Result<Self, Error> {
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort();
        keys.dedup();
        let mut rows = Self::default();
        rows.hold(lookup(db, table, &keys).await?);
        Ok(rows)
    }

    /// Takes in rows as they are stored.
    pub fn hold(&mut self, found: impl IntoIterator<Item = R>) {
        for row in found {
            self.rows.insert(row.key(), Slot { row: Some(row), changed: false });
        }
    }

    /// The row of this key, if there is one.
    pub fn get(&self, key: &R::Key) -> Option<&R> {
        self.rows.get(key)?.row.as_ref()
    }

    /// The row of this key, to change it.
    pub fn get_mut(&mut self, key: &R::Key) -> Option<&mut R> {
        let slot = self.rows.get_mut(key)?;
        slot.changed |= slot.row.is_some();
        slot.row.as_mut()
    }

    /// Puts a row in place of whatever has its key.
    pub fn insert(&mut self, row: R) {
        self.rows.insert(row.key(), Slot { row: Some(row), changed: true });
    }

    /// Removes a row.
    pub fn remove(&mut self, key: &R::Key) -> Option<R> {
        let slot = self.rows.get_mut(key)?;
        slot.changed |= slot.row.is_some();
        slot.row.take()
    }

    /// Every row there is now, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.rows.values().filter_map(|slot| slot.row.as_ref())
    }

    /// What to write so that the table holds what the memory does.
    pub fn into_statements(self, table: &str) -> Vec<Statement> {
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        for (key, slot) in self.rows {
            match slot {
                Slot { changed: false, .. } => {}
                Slot { row: Some(row), .. } => kept.push(row),
                Slot { row: None, .. } => gone.push(key),
            }
        }
        let mut statements = delete::<R>(table, &gone);
        statements.extend(upsert(table, &kept));
        statements
    }
}
