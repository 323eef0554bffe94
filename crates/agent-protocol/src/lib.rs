//! Types and paths that the platform and the agent server share. No I/O.
