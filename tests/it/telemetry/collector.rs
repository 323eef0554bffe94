//! A collector of traces: the receiving side of OTLP over HTTP.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tokio::net::TcpListener;

/// Receives spans on a free port until the end of the test.
pub struct Collector {
    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub url: String,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    services: BTreeSet<String>,
}

/// A span as received; ids in hexadecimal.
#[derive(Debug, Clone)]
pub struct Span {
    pub trace_id: String,
    pub id: String,
    pub parent_id: String,
    pub name: String,
}

impl Collector {
    pub async fn start() -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let routes = Router::new().route("/v1/traces", post(take));
        let routes = routes.with_state(Arc::clone(&received));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, received }
    }

    /// A span of that name in that trace, if one has come.
    pub fn span(&self, trace_id: &str, name: &str) -> Option<Span> {
        let received = self.received.lock().unwrap();
        let is_it = |span: &&Span| span.trace_id == trace_id && span.name == name;
        received.spans.iter().find(is_it).cloned()
    }

    /// The names of all spans of a trace.
    pub fn names(&self, trace_id: &str) -> Vec<String> {
        let received = self.received.lock().unwrap();
        let of_trace = received.spans.iter().filter(|span| span.trace_id == trace_id);
        of_trace.map(|span| span.name.clone()).collect()
    }

    /// Who has sent spans.
    pub fn services(&self) -> Vec<String> {
        self.received.lock().unwrap().services.iter().cloned().collect()
    }
}

async fn take(State(received): State<Arc<Mutex<Received>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut received = received.lock().unwrap();
    for resource in request.resource_spans {
        let attributes = resource.resource.iter().flat_map(|resource| &resource.attributes);
        for attribute in attributes.filter(|attribute| attribute.key == "service.name") {
            let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            if let Some(Value::StringValue(name)) = value {
                received.services.insert(name.clone());
            }
        }
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            received.spans.push(Span {
                trace_id: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent_id: hex(&span.parent_span_id),
                name: span.name,
            });
        }
    }
    StatusCode::OK
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
