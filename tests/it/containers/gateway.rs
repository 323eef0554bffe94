//! The way to a model: the key of its API stays with the platform, and an agent with no network reaches
//! the model all the same.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::{SESSIONS, address, delete, docker, found_inside, fresh_name, image};
use crate::server::{Server, until};

const KEY: &str = "sk-ant-gateway-0d4c8b6a2f1e";
const NEWER: &str = "sk-ant-gateway-7b1e9c3f5a2d";

/// What the API was asked: path and query, headers, body.
type Asked = Arc<Mutex<Vec<(String, HeaderMap, String)>>>;

/// An API that says which key it was asked with, by a word for each.
async fn api() -> (String, Asked) {
    let asked = Asked::default();
    let answer = async |State(asked): State<Asked>, request: Request| {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let key = head.headers.get("x-api-key").and_then(|key| key.to_str().ok());
        let word = match key {
            Some(KEY) => "asked with the first key",
            Some(NEWER) => "asked with the newer key",
            _ => "asked with no key",
        };
        let body = String::from_utf8(body.to_vec()).unwrap();
        asked.lock().unwrap().push((head.uri.to_string(), head.headers, body));
        ([("x-model-says", "yes")], format!("{word}\n"))
    };
    let router = Router::new().fallback(answer).with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    (format!("http://{address}"), asked)
}

/// A server whose agent's CLI is the test's own; its agent has the key.
async fn server_with_key(name: &str, more: &[(&str, &str)]) -> Server {
    let (image, engine) = (image(), address());
    let common = [
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", engine.as_str()),
        ("TRINITY_AGENT_IMAGE", image.as_str()),
        ("TRINITY_CLAUDE_COMMAND", "/proc/self/exe fake-claude"),
        ("TRINITY_GRACE_MS", "500"),
    ];
    let server = Server::start_with(&[&common, more].concat()).await;
    server.agent_with(json!({"name": name, "runtime": "claude-code"})).await;
    set_key(&server, name, KEY).await;
    server
}

async fn set_key(server: &Server, name: &str, key: &str) {
    let path = format!("/api/agents/{name}/credentials/ANTHROPIC_API_KEY");
    let set = server.put(&path, json!({ "value": key })).await.expect(200);
    assert_eq!(set["in_force"], true, "{set}");
}

/// The lines of a run that must complete, as one text.
async fn says(server: &Server, name: &str, ops: &[&str]) -> String {
    let id = server.script(name, ops).await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    json!(server.lines(&id).await).to_string()
}

#[tokio::test]
async fn a_model_is_reached_without_a_network_and_without_its_key_in_the_container() {
    let (url, asked) = api().await;
    let name = fresh_name();
    let server =
        server_with_key(&name, &[("TRINITY_ANTHROPIC_URL", &format!("{url}/proxy"))]).await;
    let said = says(
        &server,
        &name,
        &[
            "exec cat .env; env",
            "exec wget -qSO- --post-data hello --header 'x-api-key: mine' \
             --header 'authorization: Bearer mine' --header 'anthropic-version: 1' \
             \"$ANTHROPIC_BASE_URL/v1/messages?beta=true\" 2>&1",
            "exec wget -qO- $ANTHROPIC_BASE_URL/v1/../../secrets 2>&1 || true",
            "exec wget -qO- $ANTHROPIC_BASE_URL/admin 2>&1 || true",
        ],
    )
    .await;
    assert!(said.contains("ANTHROPIC_API_KEY=held-by-the-gateway"), "{said}");
    assert!(
        said.contains("asked with the first key") && said.contains("x-model-says: yes"),
        "{said}"
    );
    assert_eq!(said.matches("404 Not Found").count(), 2, "{said}");
    {
        let asked = asked.lock().unwrap();
        let [(path, headers, body)] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!((path.as_str(), body.as_str()), ("/proxy/v1/messages?beta=true", "hello"));
        assert_eq!(headers["anthropic-version"], "1");
        assert!(!headers.contains_key("authorization"), "{headers:?}");
    }
    let hanging = server.script(&name, &["say busy", "hang"]).await;
    until("it is at work", async || (!server.lines(&hanging).await.is_empty()).then_some(())).await;
    // What is there is found: in what the CLI remembers of the run before, in the environment of this
    // one, in its command line.
    let placeholder = found_inside(&name, "held-by-the-gateway");
    assert!(placeholder.iter().any(|file| file.starts_with(SESSIONS)), "{placeholder:?}");
    assert!(placeholder.iter().any(|file| file.ends_with("/environ")), "{placeholder:?}");
    let flag = found_inside(&name, "--output-format=stream-json");
    assert!(flag.iter().any(|file| file.ends_with("/cmdline")), "{flag:?}");
    assert_eq!(found_inside(&name, KEY), BTreeSet::new());
    let container = format!("agent-{name}");
    assert!(!docker(&["inspect", &container]).contains(KEY));
    delete(&server, &name).await;
    server.audit().await;
}

#[tokio::test]
async fn a_new_key_and_a_new_server_serve_a_run_that_goes_on() {
    let (url, _) = api().await;
    let name = fresh_name();
    let environment = [("TRINITY_ANTHROPIC_URL", url.as_str())];
    let mut server = server_with_key(&name, &environment).await;
    let ask = "wget -qO- $ANTHROPIC_BASE_URL/v1/models";
    let ops = [
        format!("exec {ask}"),
        format!("exec until {ask} | grep newer; do sleep 0.2; done"),
        "exec echo waiting; while [ ! -e go ]; do sleep 0.1; done".to_owned(),
        format!("exec echo then: $({ask})"),
    ];
    let id = server.script(&name, &ops.each_ref().map(String::as_str)).await;
    let has_said = async |server: &Server, text: &str| {
        until(&format!("it says {text}"), async || {
            json!(server.lines(&id).await).to_string().contains(text).then_some(())
        })
        .await;
    };
    has_said(&server, "asked with the first key").await;
    set_key(&server, &name, NEWER).await;
    has_said(&server, "waiting").await;
    server.crash().await;
    let path = format!("/api/agents/{name}/files?path=go");
    let put = server.request(reqwest::Method::PUT, &path).body("").send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.status());
    let ended: Value = server.until_ended(&id).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    has_said(&server, "then: asked with the newer key").await;
    delete(&server, &name).await;
    server.audit().await;
}

#[tokio::test]
async fn a_key_is_injected_where_the_gateway_is_not_wanted_or_leads_elsewhere() {
    let name = fresh_name();
    let server = server_with_key(&name, &[("TRINITY_MODEL_GATEWAY", "false")]).await;
    let ops = ["exec [ ${#ANTHROPIC_API_KEY} = 27 ] && echo injected-$ANTHROPIC_BASE_URL-"];
    let said = says(&server, &name, &ops).await;
    assert!(said.contains("injected--"), "{said}");
    delete(&server, &name).await;

    let server = server_with_key(&name, &[]).await;
    let path = format!("/api/agents/{name}/credentials/ANTHROPIC_BASE_URL");
    server.put(&path, json!({"value": "http://models.internal"})).await.expect(200);
    let said =
        says(&server, &name, &["exec [ ${#ANTHROPIC_API_KEY} = 27 ] && echo injected"]).await;
    assert!(said.contains("injected"), "{said}");
    delete(&server, &name).await;
}
