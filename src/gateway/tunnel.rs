//! The stream on which an agent server passes on what its runs ask of the model.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::upgrade::{self, Upgraded};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use trinity_agent_protocol::{GATEWAY_UPGRADE, paths};
use uuid::Uuid;

use super::{Shared, forward};
use crate::adapters::model_api::ModelApi;

/// How long opening the stream may take.
const OPEN_MAX: Duration = Duration::from_secs(10);

/// How many requests of one agent are under way at once.
const REQUESTS_MAX: u32 = 64;

/// How often the other side is asked for a sign of life, and how long that may take.
const PING: Duration = Duration::from_secs(10);

/// The pauses before the stream is opened again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A stream that held so long was good: the next failure is a new one.
const HELD_MIN: Duration = Duration::from_secs(10);

/// Serves an agent for ever, over one stream after another.
pub(super) async fn keep(shared: Arc<Shared>, incarnation: Uuid, api: &'static ModelApi) {
    let pauses = ExponentialBuilder::new()
        .with_min_delay(PAUSE_MIN)
        .with_max_delay(PAUSE_MAX)
        .without_max_times()
        .with_jitter();
    let mut waits = pauses.build();
    loop {
        let began = Instant::now();
        if let Err(error) = serve(&shared, incarnation, api).await {
            tracing::debug!(%incarnation, "the way to the model broke: {error:#}");
        }
        if began.elapsed() > HELD_MIN {
            waits = pauses.build();
        }
        sleep(waits.next().unwrap_or(PAUSE_MAX)).await;
    }
}

async fn serve(
    shared: &Arc<Shared>,
    incarnation: Uuid,
    api: &'static ModelApi,
) -> anyhow::Result<()> {
    let (stream, _driver) = timeout(OPEN_MAX, open(shared, incarnation))
        .await
        .context("the agent server did not answer in time")??;
    let answer = service_fn(|request| {
        let shared = Arc::clone(shared);
        async move { Ok::<_, Infallible>(forward::answer(&shared, incarnation, api, request).await) }
    });
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(REQUESTS_MAX)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(stream, answer)
        .await
        .context("the stream broke")
}

/// Asks the agent server to turn around: on this stream it asks, and is answered here.
async fn open(
    shared: &Shared,
    incarnation: Uuid,
) -> anyhow::Result<(Upgraded, AbortOnDropHandle<()>)> {
    let stream = shared.host.connect(incarnation).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "the stream to an agent server's gateway broke");
        }
    }));
    let request = Request::get(paths::GATEWAY)
        .header(header::HOST, "agent")
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, GATEWAY_UPGRADE)
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        bail!("it answered {}", answer.status());
    }
    Ok((upgrade::on(answer).await?, driver))
}
