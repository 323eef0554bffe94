//! Who waits for an execution to change: one reader of the log wakes all of them.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::{ExecutionId, StreamType};
use crate::event_log::EventLog;

/// Tells the version of an execution's stream whenever it grows. A clone is another handle.
#[derive(Debug, Clone, Default)]
pub struct Watchers(Arc<Mutex<HashMap<ExecutionId, watch::Sender<i64>>>>);

impl Watchers {
    /// Begins to follow the log, until the token is cancelled.
    ///
    /// A hint and no more: whoever waits looks at the log itself, and now and then without a hint.
    pub fn start(log: &EventLog, stop: CancellationToken) -> Self {
        let watchers = Self::default();
        let (log, told) = (log.clone(), watchers.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let mut events = pin!(log.subscribe(log.head()));
            while let Some(event) = events.next().await {
                match event {
                    Ok(recorded) if recorded.stream.kind == StreamType::Execution => {
                        if let Ok(id) = recorded.stream.id.parse() {
                            told.tell(id, recorded.version);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%error, "waiting requests are woken by time alone");
                        return;
                    }
                }
            }
        }));
        watchers
    }

    /// Is told when the execution changes from now on.
    pub fn watch(&self, id: ExecutionId) -> watch::Receiver<i64> {
        let mut watchers = self.lock();
        watchers.retain(|_, sender| sender.receiver_count() > 0);
        watchers.entry(id).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    fn tell(&self, id: ExecutionId, version: i64) {
        if let Some(sender) = self.lock().get(&id) {
            sender.send_replace(version);
        }
    }

    /// Nothing panics while the lock is held, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<ExecutionId, watch::Sender<i64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
