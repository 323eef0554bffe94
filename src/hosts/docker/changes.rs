//! The engine's own stream of events: it makes seen at once what the next look would find.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::time::{sleep, timeout};

use super::container::INCARNATION;
use super::engine::Engine;
use crate::hosts::{Change, PLATFORM_LABEL};

/// What happens to a container that is nobody's doing here, or is by hand.
const ACTIONS: [&str; 5] = ["destroy", "die", "oom", "pause", "unpause"];

/// The wait before a broken stream is opened again; it doubles with every further failure.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// The longest of these waits.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a stream may be silent before it is opened anew, since nobody tells when it is dead.
const SILENCE_MAX: Duration = Duration::from_mins(5);

type Events = BoxStream<'static, Result<EventMessage, bollard::errors::Error>>;

/// The stream, which is opened again whenever it breaks.
struct Watch<'a> {
    engine: &'a Engine,
    platform: &'a str,
    open: Option<Events>,
    wait: Duration,
}

/// Tells of changes to the containers of a platform.
pub(super) fn of<'a>(engine: &'a Engine, platform: &'a str) -> BoxStream<'a, Change> {
    let watch = Watch { engine, platform, open: None, wait: Duration::ZERO };
    let next = async |mut watch: Watch<'a>| Some((watch.next().await, watch));
    stream::unfold(watch, next).boxed()
}

impl Watch<'_> {
    async fn next(&mut self) -> Change {
        loop {
            let Some(open) = &mut self.open else {
                sleep(self.wait).await;
                self.wait = (self.wait * 2).clamp(WAIT_MIN, WAIT_MAX);
                if let Ok(docker) = self.engine.client().await {
                    self.open = Some(events(&docker, self.platform));
                    return Change::Unknown;
                }
                continue;
            };
            match timeout(SILENCE_MAX, open.next()).await {
                Ok(Some(Ok(event))) => {
                    self.wait = Duration::ZERO;
                    if let Some(change) = change(event) {
                        return change;
                    }
                }
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, "the events of the Docker engine broke off");
                    self.open = None;
                }
                Ok(None) | Err(_) => self.open = None,
            }
        }
    }
}

fn events(docker: &Docker, platform: &str) -> Events {
    let filters = HashMap::from([
        ("type", vec!["container".to_owned()]),
        ("label", vec![format!("{PLATFORM_LABEL}={platform}")]),
        ("event", ACTIONS.map(str::to_owned).to_vec()),
    ]);
    docker.events(Some(EventsOptionsBuilder::new().filters(&filters).build())).boxed()
}

/// Whose container an event is about.
fn change(event: EventMessage) -> Option<Change> {
    let attributes = event.actor?.attributes?;
    Some(Change::Of(attributes.get(INCARNATION)?.parse().ok()?))
}
