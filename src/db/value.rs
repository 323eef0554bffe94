//! What goes into a statement and what comes out: three kinds of column, as both engines know them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::Error;

/// The kinds of columns; times and money are whole numbers, ids and JSON are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// BIGINT.
    Int,
    /// TEXT.
    Text,
    /// BLOB on SQLite, BYTEA on Postgres.
    Blob,
}

/// One value. An absent one still has a kind, because Postgres asks for the type of every NULL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A whole number.
    Int(Option<i64>),
    /// Text.
    Text(Option<String>),
    /// Bytes.
    Blob(Option<Vec<u8>>),
}

impl Value {
    /// The absent value of a kind.
    pub fn null(kind: Kind) -> Self {
        match kind {
            Kind::Int => Self::Int(None),
            Kind::Text => Self::Text(None),
            Kind::Blob => Self::Blob(None),
        }
    }

    /// Whether it is absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Int(None) | Self::Text(None) | Self::Blob(None))
    }
}

/// Something that can be bound to a placeholder.
pub trait Param {
    /// The value to bind.
    fn to_value(&self) -> Value;
}

/// Something that is stored in one column.
pub trait Column: Param + Sized {
    /// How the column is declared.
    const KIND: Kind;
    /// Whether it may be absent.
    const NULLABLE: bool = false;

    /// Reads a stored value; `None` when it is of another kind or out of range.
    fn from_value(value: Value) -> Option<Self>;
}

/// A row as read, its values taken from left to right.
#[derive(Debug)]
pub struct Row {
    values: std::vec::IntoIter<Value>,
    taken: usize,
}

impl Row {
    /// A row of these values.
    pub fn new(values: Vec<Value>) -> Self {
        Self { values: values.into_iter(), taken: 0 }
    }

    /// The next column.
    pub fn take<T: Column>(&mut self) -> Result<T, Error> {
        self.taken += 1;
        let expected = std::any::type_name::<T>();
        let column = Error::Column { number: self.taken, expected };
        self.values.next().and_then(T::from_value).ok_or(column)
    }

    /// The columns that have not been taken.
    pub fn into_values(self) -> Vec<Value> {
        self.values.collect()
    }

    /// The next column, or the default when the query selected no more.
    pub fn take_or_default<T: Column + Default>(&mut self) -> Result<T, Error> {
        if self.values.len() == 0 { Ok(T::default()) } else { self.take() }
    }
}

/// A value stored as JSON text; on the wire it is the value itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Json<T>(pub T);

impl<T: Serialize> Param for Json<T> {
    /// A value that is no JSON (a map with keys that are no text) is stored as `null`.
    fn to_value(&self) -> Value {
        Value::Text(Some(serde_json::to_string(&self.0).unwrap_or_else(|_| "null".to_owned())))
    }
}

impl<T: Serialize + DeserializeOwned> Column for Json<T> {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Option<Self> {
        serde_json::from_str(&String::from_value(value)?).ok().map(Self)
    }
}

impl<T: Param> Param for &T {
    fn to_value(&self) -> Value {
        T::to_value(self)
    }
}

impl Param for &str {
    fn to_value(&self) -> Value {
        Value::Text(Some((*self).to_owned()))
    }
}

impl Param for Value {
    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl<T: Column> Param for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::null(T::KIND), Param::to_value)
    }
}

impl<T: Column> Column for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;

    fn from_value(value: Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::from_value(value).map(Some) }
    }
}

macro_rules! whole_number {
    ($($type:ty),+) => {$(
        impl Param for $type {
            /// A number beyond the column's range is stored as the range's end.
            fn to_value(&self) -> Value {
                Value::Int(Some(i64::try_from(*self).unwrap_or(i64::MAX)))
            }
        }

        impl Column for $type {
            const KIND: Kind = Kind::Int;

            fn from_value(value: Value) -> Option<Self> {
                let Value::Int(Some(number)) = value else { return None };
                number.try_into().ok()
            }
        }
    )+};
}
whole_number!(i64, i32, u32, u64);

impl Param for bool {
    fn to_value(&self) -> Value {
        Value::Int(Some(i64::from(*self)))
    }
}

impl Column for bool {
    const KIND: Kind = Kind::Int;

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Int(Some(0)) => Some(false),
            Value::Int(Some(1)) => Some(true),
            _ => None,
        }
    }
}

impl Param for String {
    fn to_value(&self) -> Value {
        Value::Text(Some(self.clone()))
    }
}

impl Column for String {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Text(text) = value { text } else { None }
    }
}

impl Param for Vec<u8> {
    fn to_value(&self) -> Value {
        Value::Blob(Some(self.clone()))
    }
}

impl Column for Vec<u8> {
    const KIND: Kind = Kind::Blob;

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Blob(bytes) = value { bytes } else { None }
    }
}

impl Param for DateTime<Utc> {
    /// Microseconds since 1970 UTC.
    fn to_value(&self) -> Value {
        Value::Int(Some(self.timestamp_micros()))
    }
}

impl Column for DateTime<Utc> {
    const KIND: Kind = Kind::Int;

    fn from_value(value: Value) -> Option<Self> {
        Self::from_timestamp_micros(i64::from_value(value)?)
    }
}

impl Param for Uuid {
    fn to_value(&self) -> Value {
        Value::Text(Some(self.to_string()))
    }
}

impl Column for Uuid {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Option<Self> {
        Self::parse_str(&String::from_value(value)?).ok()
    }
}

/// Stores types as the text that they print and parse.
macro_rules! text_columns {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::db::Param for $type {
            fn to_value(&self) -> $crate::db::Value {
                $crate::db::Value::Text(Some(self.to_string()))
            }
        }

        impl $crate::db::Column for $type {
            const KIND: $crate::db::Kind = $crate::db::Kind::Text;

            fn from_value(value: $crate::db::Value) -> Option<Self> {
                <String as $crate::db::Column>::from_value(value)?.parse().ok()
            }
        }
    )+};
}
pub(crate) use text_columns;

/// Stores enums as their words: what serde says.
macro_rules! word_columns {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::db::Param for $type {
            fn to_value(&self) -> $crate::db::Value {
                let word = serde_json::to_value(self).unwrap_or_default();
                $crate::db::Value::Text(word.as_str().map(str::to_owned))
            }
        }

        impl $crate::db::Column for $type {
            const KIND: $crate::db::Kind = $crate::db::Kind::Text;

            fn from_value(value: $crate::db::Value) -> Option<Self> {
                use serde::de::{Deserialize, IntoDeserializer, value};
                let word = <String as $crate::db::Column>::from_value(value)?;
                let word: value::StrDeserializer<value::Error> = word.as_str().into_deserializer();
                Self::deserialize(word).ok()
            }
        }
    )+};
}
pub(crate) use word_columns;
