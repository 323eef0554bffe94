//! Traces: one from a request to the end of what it began, exported over OTLP where that is wanted.
//!
//! The span of a request is recorded beside the events that it leads to, as W3C Trace Context
//! writes it; whoever acts on such an event, on whatever node and after whatever restart, goes on
//! in the same trace. Without an exporter the context of others is still handed on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::config::variable;

/// The header, and the key of an event's metadata.
pub const TRACEPARENT: &str = "traceparent";

/// The longest context that is taken from a header, in bytes.
const TRACEPARENT_BYTES_MAX: usize = 128;

/// How long the last spans have to leave when the server ends.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Makes spans, once an exporter is installed.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Whether spans go anywhere.
pub fn is_exporting() -> bool {
    TRACER.get().is_some()
}

/// What must be told before the process ends.
#[derive(Debug, Default)]
pub struct Exporter(Option<SdkTracerProvider>);

/// Exports spans if `OTEL_EXPORTER_OTLP_ENDPOINT` (or that of traces alone) says where to.
///
/// The other variables of the OpenTelemetry specification hold too: headers, timeout, sampler.
///
/// # Errors
/// When the exporter cannot be made of what they say.
pub fn install() -> anyhow::Result<Exporter> {
    let endpoint = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    if !endpoint.into_iter().any(|name| variable(name).is_some()) {
        return Ok(Exporter(None));
    }
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    let exporter = exporter.build().context("cannot export traces over OTLP")?;
    let mut resource = Resource::builder();
    if variable("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("trinity");
    }
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.with_attribute(version).build())
        .build();
    let _ = TRACER.set(provider.tracer("trinity"));
    Ok(Exporter(Some(provider)))
}

impl Exporter {
    /// Sends what has not been sent; blocks for at most some seconds.
    pub fn shutdown(self) {
        let Some(provider) = self.0 else { return };
        if let Err(error) = provider.shutdown_with_timeout(FLUSH_MAX) {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// Something that takes time, as part of a trace; it ends when it is dropped.
#[derive(Debug, Clone, Default)]
pub struct Span(Option<Context>);

/// On which side of a call a span stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It answers.
    Server,
    /// It asks.
    Client,
    /// Neither.
    Internal,
}

impl From<Side> for SpanKind {
    fn from(side: Side) -> Self {
        match side {
            Side::Server => Self::Server,
            Side::Client => Self::Client,
            Side::Internal => Self::Internal,
        }
    }
}

impl Span {
    /// Begins a span under `parent`, which is what [`Span::traceparent`] says of another, or what
    /// a client sent; a text that is no such thing begins a trace of its own.
    pub fn begin(name: impl Into<Cow<'static, str>>, side: Side, parent: Option<&str>) -> Self {
        let Some(tracer) = TRACER.get() else {
            let context = parent.map(context).filter(Context::has_active_span);
            return Self(context);
        };
        let parent = parent.map(context).unwrap_or_default();
        let span = tracer.span_builder(name).with_kind(side.into());
        Self(Some(parent.with_span(span.start_with_context(tracer, &parent))))
    }

    /// What another span needs to know to be part of this one.
    pub fn traceparent(&self) -> Option<String> {
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(self.0.as_ref()?, &mut carrier);
        carrier.remove(TRACEPARENT)
    }

    /// Adds a fact.
    pub fn set(&self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Gives it another name, once more is known.
    pub fn rename(&self, name: impl Into<Cow<'static, str>>) {
        if let Some(context) = &self.0 {
            context.span().update_name(name);
        }
    }

    /// Says that it came to nothing.
    pub fn failed(&self, why: impl Into<Cow<'static, str>>) {
        if let Some(context) = &self.0 {
            context.span().set_status(Status::error(why));
        }
    }
}

/// Records something that is over, under a span of long ago.
pub fn record(
    name: &'static str,
    parent: Option<&str>,
    (began_at, ended_at): (DateTime<Utc>, DateTime<Utc>),
    facts: impl IntoIterator<Item = (&'static str, String)>,
) {
    let Some(tracer) = TRACER.get() else { return };
    let facts = facts.into_iter().map(|(key, value)| KeyValue::new(key, value));
    let parent = parent.map(context).unwrap_or_default();
    let span = SpanBuilder::from_name(name)
        .with_kind(SpanKind::Internal)
        .with_start_time(SystemTime::from(began_at))
        .with_attributes(facts);
    let context = parent.with_span(span.start_with_context(tracer, &parent));
    context.span().end_with_timestamp(SystemTime::from(ended_at));
}

/// The place in a trace that a text names; none where it names none.
fn context(traceparent: &str) -> Context {
    if traceparent.len() > TRACEPARENT_BYTES_MAX {
        return Context::new();
    }
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_handed_on_without_an_exporter() {
        let span = Span::begin("request", Side::Server, Some(PARENT));
        assert_eq!(span.traceparent().as_deref(), Some(PARENT));
        assert_eq!(Span::begin("request", Side::Server, None).traceparent(), None);
    }

    #[test]
    fn what_is_no_context_is_left_behind() {
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for text in ["", "nonsense", "00-xyz-00f067aa0ba902b7-01", zero, &PARENT.repeat(9)] {
            assert_eq!(Span::begin("request", Side::Server, Some(text)).traceparent(), None);
        }
    }
}
