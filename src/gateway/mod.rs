//! The way from agents to the API of their model, on which the platform adds the key.
//!
//! An agent server that offers a gateway listens on the loopback of its container. What a CLI asks for
//! there comes over one stream to this side, which adds the agent's key from the vault and passes it on:
//! the key never enters the container, a new one is in force with the next request, and an agent whose
//! network leads nowhere reaches its model all the same.
//!
//! ```text
//! CLI ── HTTP/1.1 ── agent server ══ HTTP/2 over the host's stream ══ here ── HTTPS ── API
//! ```

mod forward;
mod tunnel;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::Context as _;
use reqwest::redirect;
use tokio_util::task::AbortOnDropHandle;
use trinity_agent_protocol::Info;
use uuid::Uuid;

use self::forward::{CONNECT_MAX, SILENCE_MAX, Upstreams};
use crate::adapters::model_api::ModelApi;
use crate::hosts::AgentHost;
use crate::vault::{Credentials, Kind, Vault};

/// What a CLI is given as its key, since none of them starts without one.
pub const KEY_STAND_IN: &str = "held-by-the-gateway";

/// Where the APIs are, if not where everybody finds them.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// That of Claude Code.
    pub anthropic: Option<String>,
    /// That of Gemini CLI.
    pub gemini: Option<String>,
}

/// The gateway of this node. A clone is another handle to the same.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    host: Arc<dyn AgentHost>,
    vault: Vault,
    http: reqwest::Client,
    upstreams: Upstreams,
    open: Mutex<HashMap<Uuid, Weak<Way>>>,
}

/// Keeps an agent's way to its model open for as long as somebody has it.
pub struct Way {
    _keeper: AbortOnDropHandle<()>,
}

impl Gateway {
    /// Makes a gateway for the agents of this host.
    ///
    /// # Errors
    /// When an address is no URL, or requests cannot be made from here.
    pub fn new(
        host: Arc<dyn AgentHost>,
        vault: Vault,
        addresses: &Addresses,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            // The key is for one server, wherever that points.
            .redirect(redirect::Policy::none())
            .build()
            .context("cannot make requests to the APIs of models")?;
        let upstreams = Upstreams::new(addresses)?;
        let shared = Shared { host, vault, http, upstreams, open: Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Keeps the way open between an agent and its model, and opens it again when it breaks.
    pub fn keep_open(&self, incarnation: Uuid, api: &'static ModelApi) -> Arc<Way> {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, way| way.strong_count() > 0);
        if let Some(way) = open.get(&incarnation).and_then(Weak::upgrade) {
            return way;
        }
        let keeper = tokio::spawn(tunnel::keep(Arc::clone(&self.shared), incarnation, api));
        let way = Arc::new(Way { _keeper: AbortOnDropHandle::new(keeper) });
        open.insert(incarnation, Arc::downgrade(&way));
        way
    }
}

/// What of its credentials an agent is given: all but a key that the gateway holds for it, instead of
/// which it gets the other. That is so if its server offers a gateway, and the agent has a key and nothing
/// that leads elsewhere.
pub fn given<'a>(
    api: Option<&'static ModelApi>,
    info: &'a Info,
    credentials: &Credentials,
) -> (Credentials, Option<StandIn<'a>>) {
    let has_variable = |name: &str| credentials.of(Kind::Variable).any(|(known, _)| known == name);
    let api = api.filter(|api| api.can_stand_in(has_variable));
    let all = credentials.clone();
    match (api, info.gateway.as_deref()) {
        (Some(api), Some(address)) => (all.without(api.key), Some(StandIn { api, address })),
        (None, _) | (_, None) => (all, None),
    }
}

/// What an agent is given instead of its key.
#[derive(Debug, Clone, Copy)]
pub struct StandIn<'a> {
    /// The API whose key it is not given.
    api: &'static ModelApi,
    /// Where its CLI is sent.
    address: &'a str,
}

impl StandIn<'_> {
    /// The variables with which a CLI takes this way.
    pub fn variables(&self) -> [(&'static str, &str); 2] {
        [(self.api.key, KEY_STAND_IN), (self.api.address, self.address)]
    }
}
