//! The supervisor that runs inside every agent.
