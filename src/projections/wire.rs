//! How values stand in a row and on the wire, and which words of the domain are columns.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use strum::VariantNames;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::db::{Column, Kind, Param, Value, text_columns, word_columns};
use crate::domain::account::{Role, Scope};
use crate::domain::agent::{Phase, Runtime};
use crate::domain::execution::{CancelPhase, CancelReason, ErrorClass, Source, Status, Trigger};
use crate::domain::slots::SuspendReason;
use crate::domain::{AccountId, AgentName, EventId, ExecutionId, IncarnationId};

text_columns!(AccountId, AgentName, EventId, ExecutionId, IncarnationId);
word_columns!(
    CancelPhase,
    CancelReason,
    ErrorClass,
    Phase,
    Role,
    Runtime,
    Scope,
    Source,
    Status,
    SuspendReason,
    Trigger,
);

/// A time: microseconds in a column, RFC 3339 UTC with milliseconds on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, examples("2026-11-21T09:30:00.000Z"))]
pub struct Timestamp(pub DateTime<Utc>);

impl Timestamp {
    /// Milliseconds from an earlier time until this one; none when that is later.
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from((self.0 - earlier.0).num_milliseconds()).unwrap_or_default()
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Param for Timestamp {
    fn to_value(&self) -> Value {
        self.0.to_value()
    }
}

impl Column for Timestamp {
    const KIND: Kind = Kind::Int;

    fn from_value(value: Value) -> Option<Self> {
        DateTime::from_value(value).map(Self)
    }
}

/// An amount of money: whole millionths of a dollar in a column, dollars on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = f64, examples(0.0421))]
pub struct Cost(pub i64);

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "exact up to nine billion dollars")]
        serializer.serialize_f64(self.0 as f64 / 1e6)
    }
}

impl Param for Cost {
    fn to_value(&self) -> Value {
        self.0.to_value()
    }
}

impl Column for Cost {
    const KIND: Kind = Kind::Int;

    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value).map(Self)
    }
}

/// The schema of one of the domain's enums: a string, one of its words.
pub(super) fn words<T: VariantNames>() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(T::VARIANTS.iter().copied()))
}

/// The same where the word may be absent.
pub(super) fn words_or_null<T: VariantNames>() -> ObjectBuilder {
    let words = T::VARIANTS.iter().map(|word| serde_json::Value::from(*word));
    ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words.chain([serde_json::Value::Null])))
}

/// The first characters of a text, at most `chars_max`.
pub(super) fn preview(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}
