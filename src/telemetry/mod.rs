//! What operators see of a running server: logs, metrics, traces.
//!
//! All three are written by whoever has something to say, through facades that cost next to nothing
//! when nobody listens; here is what listens.

pub mod logs;
pub mod metrics;
pub mod redaction;
pub mod traces;
