//! The paths of the agent server's routes.

/// `GET`: who answers, see [`crate::Info`].
pub const INFO: &str = "/info";

/// `GET`: the [`crate::ExecutionStatus`] of every execution that has a state folder.
pub const EXECUTIONS: &str = "/executions";

/// `PUT`: writes the files that the platform keeps in the workspace, see [`crate::KeptFiles`].
pub const KEPT_FILES: &str = "/kept-files";

/// `GET`: lists a folder of the workspace, see [`crate::FilesQuery`] and [`crate::FilePage`].
pub const FILES: &str = "/files";

/// `GET` reads, `PUT` writes, `DELETE` removes one file, see [`crate::FileQuery`].
pub const FILE_CONTENT: &str = "/files/content";

/// `GET` with `Upgrade:` [`crate::GATEWAY_UPGRADE`]: turns the connection around. From then on the agent
/// server asks on it, by HTTP/2, what its runs ask of their model's API.
pub const GATEWAY: &str = "/gateway";

/// `POST`: stops every run and ends the agent server, see [`crate::ShutdownRequest`].
pub const SHUTDOWN: &str = "/shutdown";

/// `PUT` starts, `GET` reads, `DELETE` forgets one execution.
pub fn execution(id: &str) -> String {
    format!("{EXECUTIONS}/{id}")
}

/// `POST`: stops an execution, see [`crate::StopRequest`].
pub fn stop(id: &str) -> String {
    format!("{EXECUTIONS}/{id}/stop")
}

/// `GET`: the lines after `after` as NDJSON, at most `limit` of them.
pub fn output(id: &str, after: u64, limit: u64) -> String {
    format!("{EXECUTIONS}/{id}/output?after={after}&limit={limit}")
}

/// `GET`: the lines after `after` as NDJSON until the execution has ended.
pub fn follow(id: &str, after: u64) -> String {
    format!("{EXECUTIONS}/{id}/output?after={after}&follow=true")
}
