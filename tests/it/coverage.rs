//! Every route of the API has a row here, and every row is sent: by nobody, by a stranger, by
//! somebody with too little, and by somebody who may.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use reqwest::Method;
use serde_json::{Value, json};
use trinity::domain::AccountId;
use trinity::domain::agent::Setting;

use crate::support::{Client, TestApp};

/// Who may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Anybody.
    Open,
    /// Whoever is logged in.
    Auth,
    /// Whoever may operate the agent.
    Access,
    /// Whoever may operate the agent, and of agents it alone.
    Inside,
    /// Whoever may operate the agent, but no agent.
    Operator,
    /// Who owns the agent.
    Owner,
    /// Administrators.
    Admin,
}

use Level::{Access, Admin, Auth, Inside, Open, Operator, Owner};

/// Method, route, who may pass, and a body that would be taken.
pub type Row = (&'static str, &'static str, Level, &'static str);

/// What ends something comes last.
pub const ROWS: &[Row] = &[
    ("GET", "/health", Open, ""),
    ("GET", "/api/health", Open, ""),
    ("GET", "/livez", Open, ""),
    ("GET", "/readyz", Open, ""),
    ("GET", "/api/openapi.json", Open, ""),
    ("GET", "/api/docs", Open, ""),
    ("GET", "/api/docs/{file}", Open, ""),
    ("GET", "/metrics", Admin, ""),
    ("GET", "/api/system", Admin, ""),
    ("POST", "/token", Open, ""),
    ("POST", "/api/token", Open, ""),
    ("GET", "/api/setup/status", Open, ""),
    ("POST", "/api/setup/admin-password", Open, "{}"),
    ("GET", "/api/users/me", Auth, ""),
    ("PUT", "/api/users/me/password", Auth, r#"{"current_password":"?","password":"12345678"}"#),
    ("GET", "/api/users", Admin, ""),
    ("POST", "/api/users", Admin, r#"{"username":"new","password":"12345678"}"#),
    ("GET", "/api/users/{id}", Admin, ""),
    ("DELETE", "/api/users/{id}", Admin, ""),
    ("GET", "/api/mcp/keys", Auth, ""),
    ("POST", "/api/mcp/keys", Auth, r#"{"name":"ci"}"#),
    ("GET", "/api/mcp/keys/{id}", Auth, ""),
    ("DELETE", "/api/mcp/keys/{id}", Auth, ""),
    ("POST", "/api/mcp/keys/{id}/revoke", Auth, ""),
    ("POST", "/api/mcp/validate", Auth, ""),
    ("GET", "/api/agents", Auth, ""),
    ("POST", "/api/agents", Auth, r#"{"name":"scout"}"#),
    ("GET", "/api/agents/slots", Auth, ""),
    ("GET", "/api/agents/{name}", Access, ""),
    ("GET", "/api/agents/{name}/autonomy", Access, ""),
    ("PUT", "/api/agents/{name}/autonomy", Owner, r#"{"enabled":true}"#),
    ("GET", "/api/agents/{name}/capacity", Access, ""),
    ("PUT", "/api/agents/{name}/capacity", Owner, r#"{"max_parallel_tasks":2}"#),
    ("GET", "/api/agents/{name}/timeout", Access, ""),
    ("PUT", "/api/agents/{name}/timeout", Owner, r#"{"execution_timeout_seconds":60}"#),
    ("GET", "/api/agents/{name}/model", Access, ""),
    ("PUT", "/api/agents/{name}/model", Owner, r#"{"model":null}"#),
    ("GET", "/api/agents/{name}/resources", Access, ""),
    ("PUT", "/api/agents/{name}/resources", Owner, r#"{"cpu":null,"memory":null}"#),
    ("GET", "/api/agents/{name}/capabilities", Access, ""),
    ("PUT", "/api/agents/{name}/capabilities", Owner, r#"{"full_capabilities":false}"#),
    ("GET", "/api/agents/{name}/read-only", Access, ""),
    ("PUT", "/api/agents/{name}/read-only", Owner, r#"{"enabled":true}"#),
    ("GET", "/api/agents/{name}/tools", Access, ""),
    ("PUT", "/api/agents/{name}/tools", Owner, r#"{"tools":[]}"#),
    ("PUT", "/api/agents/{name}/avatar", Owner, "GIF89a"),
    ("GET", "/api/agents/{name}/avatar", Access, ""),
    ("GET", "/api/agents/{name}/mcp-servers", Access, ""),
    ("PUT", "/api/agents/{name}/mcp-servers", Owner, r#"{"mcp_servers":{}}"#),
    ("GET", "/api/agents/{name}/tags", Access, ""),
    ("PUT", "/api/agents/{name}/tags", Owner, r#"{"tags":["a"]}"#),
    ("GET", "/api/agents/{name}/skills", Access, ""),
    ("PUT", "/api/agents/{name}/skills", Owner, r#"{"skills":[]}"#),
    ("POST", "/api/agents/{name}/skills", Owner, r#"{"skill":"none"}"#),
    ("DELETE", "/api/agents/{name}/skills/{skill}", Owner, ""),
    ("GET", "/api/templates", Auth, ""),
    ("GET", "/api/templates/{id}", Auth, ""),
    ("POST", "/api/templates/pull", Admin, "{}"),
    ("POST", "/api/skills/library/pull", Admin, "{}"),
    ("GET", "/api/skills/library", Auth, ""),
    ("GET", "/api/skills/library/{id}", Auth, ""),
    ("GET", "/api/agents/{name}/shares", Access, ""),
    ("POST", "/api/agents/{name}/share", Owner, r#"{"username":"guest"}"#),
    ("DELETE", "/api/agents/{name}/share/{username}", Owner, ""),
    ("GET", "/api/agents/{name}/credentials/status", Access, ""),
    ("PUT", "/api/agents/{name}/credentials/{key}", Owner, r#"{"value":"a-secret"}"#),
    ("POST", "/api/agents/{name}/credentials/inject", Owner, r#"{"files":{".env":"A=b"}}"#),
    ("POST", "/api/agents/{name}/credentials/hot-reload", Owner, r#"{"credentials_text":"A=b"}"#),
    ("POST", "/api/agents/{name}/credentials/reload", Owner, "{}"),
    ("GET", "/api/agents/{name}/logs", Inside, ""),
    ("GET", "/api/agents/{name}/stats", Inside, ""),
    ("GET", "/api/agents/{name}/info", Inside, ""),
    ("GET", "/api/agents/{name}/files", Inside, ""),
    ("PUT", "/api/agents/{name}/files", Operator, "text"),
    ("DELETE", "/api/agents/{name}/files", Operator, ""),
    ("GET", "/api/agents/{name}/files/download", Inside, ""),
    ("GET", "/api/agents/{name}/git", Access, ""),
    ("PUT", "/api/agents/{name}/git", Owner, r#"{"repository":"http://127.0.0.1:1/r.git"}"#),
    ("GET", "/api/agents/{name}/git/status", Operator, ""),
    ("POST", "/api/agents/{name}/git/pull", Operator, ""),
    ("POST", "/api/agents/{name}/git/commit", Operator, r#"{"message":"m"}"#),
    ("POST", "/api/agents/{name}/git/push", Operator, ""),
    ("GET", "/api/agents/{name}/queue", Access, ""),
    ("GET", "/api/agents/{name}/slots/history", Access, ""),
    ("POST", "/api/agents/{name}/task", Access, r#"{"message":"m","async_mode":true}"#),
    ("GET", "/api/agents/{name}/executions", Access, ""),
    ("GET", "/api/agents/{name}/executions/running", Access, ""),
    ("GET", "/api/agents/{name}/executions/{id}", Access, ""),
    ("GET", "/api/agents/{name}/executions/{id}/log", Access, ""),
    ("GET", "/api/agents/{name}/executions/{id}/stream", Access, ""),
    ("POST", "/api/agents/{name}/executions/{id}/rerun", Access, "{}"),
    ("POST", "/api/agents/{name}/executions/{id}/terminate", Access, "{}"),
    ("GET", "/api/executions", Auth, ""),
    ("GET", "/api/executions/facets", Auth, ""),
    ("GET", "/api/executions/latest", Auth, ""),
    ("GET", "/api/executions/stats", Auth, ""),
    ("GET", "/api/executions/history", Auth, ""),
    ("GET", "/api/executions/failures", Auth, ""),
    ("POST", "/api/executions/bulk/preview", Auth, r#"{"action":"terminate","filter":{}}"#),
    ("POST", "/api/executions/bulk/{selection_id}/commit", Auth, ""),
    ("GET", "/api/executions/{id}", Access, ""),
    ("GET", "/api/agents/{name}/activities", Access, ""),
    ("GET", "/api/activities/timeline", Auth, ""),
    ("GET", "/api/activities/{id}", Auth, ""),
    ("GET", "/api/agents/{name}/permissions", Access, ""),
    ("PUT", "/api/agents/{name}/permissions", Access, r#"{"permitted_agents":[]}"#),
    ("POST", "/api/agents/{name}/permissions/{target}", Access, "{}"),
    ("DELETE", "/api/agents/{name}/permissions/{target}", Auth, ""),
    ("GET", "/api/permissions", Auth, ""),
    ("GET", "/api/permissions/check", Auth, ""),
    ("POST", "/api/permissions/preset", Auth, r#"{"agents":["nobody"],"preset":"none"}"#),
    ("GET", "/api/events", Auth, ""),
    ("GET", "/api/events/{position}", Auth, ""),
    ("POST", "/api/projections/{name}/rebuild", Admin, ""),
    ("GET", "/api/replay", Auth, ""),
    ("GET", "/api/stream", Auth, ""),
    ("DELETE", "/api/agents/{name}/avatar", Owner, ""),
    ("DELETE", "/api/agents/{name}/git", Owner, ""),
    ("DELETE", "/api/agents/{name}/credentials/{key}", Owner, ""),
    ("POST", "/api/agents/{name}/queue/clear", Owner, ""),
    ("POST", "/api/agents/{name}/queue/release", Owner, ""),
    ("POST", "/api/agents/{name}/reinitialize", Owner, ""),
    ("GET", "/api/system-agent/status", Admin, ""),
    ("POST", "/api/system-agent/restart", Admin, ""),
    ("POST", "/api/system-agent/reinitialize", Admin, ""),
    ("POST", "/api/agents/{name}/pause", Access, ""),
    ("POST", "/api/agents/{name}/unpause", Access, ""),
    ("POST", "/api/agents/{name}/start", Access, ""),
    ("POST", "/api/agents/{name}/stop", Access, ""),
    ("DELETE", "/api/agents/{name}", Owner, ""),
    ("DELETE", "/api/token", Auth, ""),
];

#[test]
fn every_route_has_a_row() {
    let api = serde_json::to_value(trinity::api::openapi()).unwrap();
    let mut routes = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete", "head", "options", "trace"] {
            if item.get(method).is_some() {
                routes.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    let rows: BTreeSet<_> =
        ROWS.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(routes.difference(&rows).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    assert_eq!(rows.difference(&routes).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
}

/// Who calls, from nobody to everybody's master.
struct Callers {
    anonymous: Client,
    /// A user with nothing to do with the agent.
    stranger: Client,
    /// Another agent, with no permission to call this one.
    other_agent: Client,
    /// Another agent that may call this one.
    calling_agent: Client,
    /// The agent.
    itself: Client,
    /// A user with whom the agent is shared.
    guest: Client,
    owner: Client,
    admin: Client,
}

async fn user_id(client: &Client) -> AccountId {
    let me = client.get("/api/users/me").await.expect(200);
    me["id"].as_str().unwrap().parse().unwrap()
}

async fn callers(t: &TestApp) -> (Callers, String) {
    let owner = t.user("owner").await;
    let guest = t.user("guest").await;
    let life = t.create_agent_as(&owner, "scout", json!({})).await;
    t.report_running(&life).await;
    let id = t.submit(&owner, &life.name, "one").await;
    let user = user_id(&guest).await;
    t.set(&life, Setting::Share { user }).await;
    let other = t.create_agent("other").await;
    let calling = t.create_agent("calling").await;
    t.grant(&calling, &life).await;
    let callers = Callers {
        anonymous: t.anonymous(),
        stranger: t.user("stranger").await,
        other_agent: t.as_agent(&other).await,
        calling_agent: t.as_agent(&calling).await,
        itself: t.as_agent(&life).await,
        guest,
        owner,
        admin: t.admin(),
    };
    (callers, id.to_string())
}

/// The headers that the description promises for some answers and not for others.
const HEADERS: [&str; 2] = ["Position", "ETag"];

/// Whether the description says that the answer has a header; it does not speak of pages.
fn has_by_description(header: &str, (method, route, ..): &Row, status: u16) -> bool {
    static DESCRIPTION: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(include_str!("../../openapi.json")).unwrap());
    let responses = &DESCRIPTION["paths"][route][method.to_lowercase()]["responses"];
    responses[status.to_string()]["headers"][header].is_object()
}

/// Sends the row and answers with status and code; the body of a stream is not waited for.
async fn send(client: &Client, row: &Row, id: &str) -> (u16, String) {
    let (method, route, _, body) = row;
    let path = route.replace("{name}", "scout").replace("{id}", id).replace("{position}", "1");
    let path = path.replace("{username}", "nobody").replace("{key}", "API_KEY");
    let path = path.replace("{target}", "scout").replace("{selection_id}", id);
    let path = path.replace("{skill}", "none");
    let path = path.replace("/start", "/start?wait_ms=0").replace("/stop", "/stop?wait_ms=0");
    let path = if path.contains("/files") { format!("{path}?path=note") } else { path };
    let method: Method = method.parse().unwrap();
    let path = if method == Method::DELETE && path.ends_with("/scout") {
        format!("{path}?wait_ms=0")
    } else {
        path
    };
    let mut request = client.request(method, &path);
    if !body.is_empty() {
        request = request.header("content-type", "application/json").body(*body);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    if status < 400 {
        for header in HEADERS {
            let (is_sent, is_promised) =
                (response.headers().contains_key(header), has_by_description(header, row, status));
            assert_eq!(is_sent, is_promised, "{header} of {} {route}", row.0);
        }
        return (status, String::new());
    }
    let problem: Value = response.json().await.unwrap();
    (status, problem["code"].as_str().unwrap().to_owned())
}

/// Whether the request was let through, whatever became of it then: nobody runs agents here.
fn passed(status: u16, code: &str) -> bool {
    !matches!(status, 401 | 403) && status < 500 || code == "agent-not-running"
}

#[tokio::test]
async fn every_row_lets_in_whom_it_should_and_nobody_else() {
    let t = TestApp::start().await;
    let (callers, id) = callers(&t).await;
    let agents = [&callers.other_agent, &callers.calling_agent, &callers.itself];
    for row in ROWS {
        let (method, route, level, _) = row;
        let what = format!("{method} {route}");
        let refused = async |client: &Client, status: u16, code: &str| {
            let expected = (status, code.to_owned());
            assert_eq!(send(client, row, &id).await, expected, "{what}");
        };
        let lets_in = async |client: &Client| {
            let (status, code) = send(client, row, &id).await;
            let is_setup = code == "setup-done";
            assert!(passed(status, &code) || is_setup, "{what}: {status} {code}");
            let is_hidden = status == 404 && matches!(level, Access | Inside | Operator | Owner);
            assert!(!is_hidden, "{what}: {status} {code}");
        };
        if *level == Open {
            lets_in(&callers.anonymous).await;
            continue;
        }
        refused(&callers.anonymous, 401, "not-authenticated").await;
        refused(&t.anonymous().with_token("nonsense"), 401, "not-authenticated").await;
        match level {
            Open => {}
            Auth => lets_in(&callers.stranger).await,
            Access => {
                refused(&callers.stranger, 404, "not-found").await;
                refused(&callers.other_agent, 403, "permission_denied").await;
                let all = [&callers.calling_agent, &callers.guest, &callers.owner, &callers.admin];
                for client in all {
                    lets_in(client).await;
                }
            }
            Inside => {
                refused(&callers.stranger, 404, "not-found").await;
                for client in [&callers.other_agent, &callers.calling_agent] {
                    refused(client, 403, "permission_denied").await;
                }
                for client in [&callers.itself, &callers.guest, &callers.owner, &callers.admin] {
                    lets_in(client).await;
                }
            }
            Operator => {
                refused(&callers.stranger, 404, "not-found").await;
                for client in agents {
                    refused(client, 403, "permission_denied").await;
                }
                for client in [&callers.guest, &callers.owner, &callers.admin] {
                    lets_in(client).await;
                }
            }
            Owner => {
                refused(&callers.stranger, 404, "not-found").await;
                for client in agents {
                    refused(client, 403, "permission_denied").await;
                }
                refused(&callers.guest, 403, "forbidden").await;
                for client in [&callers.owner, &callers.admin] {
                    lets_in(client).await;
                }
            }
            Admin => {
                for client in [&callers.stranger, &callers.owner, &callers.calling_agent] {
                    refused(client, 403, "missing_scope").await;
                }
                lets_in(&callers.admin).await;
            }
        }
    }
}
