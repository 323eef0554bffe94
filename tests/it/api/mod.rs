//! The API over HTTP, one module per resource.

mod agents;
mod authorization;
mod bulk;
mod credentials;
mod edges;
mod errors;
mod etag;
mod events;
mod executions;
mod history;
mod keys;
mod login;
mod openapi;
mod past;
mod permissions;
mod replay;
mod rerun;
mod search;
mod slot_history;
mod stream;
mod system;
mod tasks;
mod users;
