//! How often a caller may come, where the server is set up to mind.
//!
//! Nobody is limited by default; failed logins have a limit of their own.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::auth::Caller;
use super::error::{ApiError, Code, Result};

/// How many callers are remembered before those are forgotten that have not come for a while.
const CALLERS_MAX: usize = 10_000;

/// What a load balancer and a collector ask for again and again.
const EXEMPT: [&str; 5] = ["/livez", "/readyz", "/health", "/api/health", "/metrics"];

/// Counts who comes how often.
#[derive(Debug)]
pub struct Rates {
    limiter: DefaultKeyedRateLimiter<Who>,
    clock: DefaultClock,
}

/// By what a caller is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    /// By a login or a key.
    Actor(Box<str>),
    /// By an address, without either; none in tests that have no network.
    Address(Option<IpAddr>),
}

impl Rates {
    /// So many requests a second, and as many at once.
    pub fn new(requests_per_second_max: NonZeroU32) -> Self {
        let quota = Quota::per_second(requests_per_second_max);
        Self { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// Lets the request of a known caller pass, or of an address when there is none.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub fn check(&self, parts: &Parts, caller: Option<&Caller>) -> Result<()> {
        if EXEMPT.contains(&parts.uri.path()) {
            return Ok(());
        }
        let who = if let Some(caller) = caller {
            Who::Actor(caller.actor().to_string().into())
        } else {
            let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
            Who::Address(from.map(|from| from.0.ip()))
        };
        if self.limiter.len() > CALLERS_MAX {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&who).map_err(|early| {
            let wait = early.wait_time_from(self.clock.now());
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            let detail = format!("too many requests; come back in {seconds} seconds");
            ApiError::new(Code::TooManyRequests, detail).retry_after(seconds)
        })
    }
}
