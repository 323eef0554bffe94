//! The way from this agent's runs to the API of their model.
//!
//! Runs ask on the loopback of their container, and the platform answers: it has turned one of its
//! connections around, so that the agent server asks on it. The key of the API is added there.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// How many connections runs may have here at once.
const CONNECTIONS_MAX: usize = 256;

/// How long a request waits for the platform, which may be starting again.
const PLATFORM_WAIT: Duration = Duration::from_secs(30);

/// How often the platform is asked for a sign of life, and how long that may take.
const PING: Duration = Duration::from_secs(10);

/// The pause after a connection could not be accepted, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Headers that are of one connection and must not be passed on.
const OF_A_CONNECTION: [header::HeaderName; 6] = [
    header::CONNECTION,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HeaderName::from_static("keep-alive"),
];

type Asked = SendRequest<Incoming>;

/// What passes on requests of runs while a platform is there.
pub(crate) struct Gateway {
    platform: watch::Sender<Option<Asked>>,
}

impl Gateway {
    /// Listens for runs.
    pub(crate) async fn listen(address: SocketAddr) -> std::io::Result<Arc<Self>> {
        let listener = TcpListener::bind(address).await?;
        let gateway = Arc::new(Self { platform: watch::Sender::new(None) });
        tokio::spawn(Arc::clone(&gateway).accept(listener));
        Ok(gateway)
    }

    /// Asks on this stream from now on, until it breaks or another one takes its place.
    pub(crate) async fn ask_on(&self, stream: Upgraded) {
        let opened = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .keep_alive_while_idle(true)
            .handshake(stream)
            .await;
        match opened {
            Ok((sender, connection)) => {
                self.platform.send_replace(Some(sender));
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "the platform's stream broke");
                }
            }
            Err(error) => tracing::debug!(%error, "the platform did not take the stream"),
        }
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            // Who comes when all places are taken waits in the listener's queue.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let gateway = Arc::clone(&self);
                    tokio::spawn(async move {
                        gateway.serve(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a run's connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(&self, stream: TcpStream) {
        let answer =
            service_fn(
                move |request| async move { Ok::<_, Infallible>(self.answer(request).await) },
            );
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), answer)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a run's connection broke");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<BoxBody<Bytes, hyper::Error>> {
        match self.pass_on(request).await {
            Ok(response) => response.map(BodyExt::boxed),
            Err(message) => refusal(&message),
        }
    }

    async fn pass_on(&self, request: Request<Incoming>) -> Result<Response<Incoming>, String> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let address = format!("http://platform{path}").parse::<Uri>();
        head.uri = address.map_err(|error| error.to_string())?;
        head.version = hyper::Version::HTTP_2;
        for name in OF_A_CONNECTION {
            head.headers.remove(name);
        }
        let mut platform = self.platform().await?;
        let answer = platform.send_request(Request::from_parts(head, body)).await;
        let mut answer = answer.map_err(|error| format!("the platform was lost: {error}"))?;
        for name in OF_A_CONNECTION {
            answer.headers_mut().remove(name);
        }
        Ok(answer)
    }

    /// The platform, once it is there.
    async fn platform(&self) -> Result<Asked, String> {
        let mut platform = self.platform.subscribe();
        let is_there =
            |asked: &Option<Asked>| asked.as_ref().is_some_and(|asked| !asked.is_closed());
        let found = timeout(PLATFORM_WAIT, platform.wait_for(is_there)).await;
        let found = found.ok().and_then(Result::ok).and_then(|asked| asked.clone());
        found.ok_or_else(|| "the platform is not there to pass this on".to_owned())
    }
}

/// An error in a form in which every CLI finds the message, and tries again.
fn refusal(message: &str) -> Response<BoxBody<Bytes, hyper::Error>> {
    let error = serde_json::json!({ "type": "api_error", "code": 503, "message": message });
    let body = serde_json::json!({ "type": "error", "error": error }).to_string();
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
