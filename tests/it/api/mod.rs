//! The API over HTTP, one module per resource.

mod agents;
mod authorization;
mod errors;
mod events;
mod executions;
mod login;
mod openapi;
mod past;
mod permissions;
mod replay;
mod search;
mod stream;
mod tasks;
mod users;
