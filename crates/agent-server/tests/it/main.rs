//! The integration tests of the agent server: one binary, because linking many costs more than
//! running them. The real executable, real processes, HTTP on a unix socket.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by a panic that something is not as it should be"
)]

mod crash;
mod fake_claude;
mod files;
mod output;
mod start;
mod stop;
mod support;
