//! The integration tests of the agent server: one binary, because linking many costs more than
//! running them.

#![expect(
    clippy::unwrap_used,
    reason = "a test says by a panic that something is not as it should be"
)]

mod fake_claude;
