//! Each event leads to what caused it, back to the request that somebody sent.

use std::collections::HashMap;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::server::{Server, until};

/// Sends a request under an id by which it is found again in the log.
async fn ask(server: &Server, id: &str, request: RequestBuilder) -> Value {
    let answer = server.try_send(request.header("x-request-id", id)).await;
    let answer = answer.expect("the server answers");
    assert!(answer.status.is_success(), "{id}: {}", answer.body);
    answer.body
}

fn post(server: &Server, path: &str, body: &Value) -> RequestBuilder {
    server.request(Method::POST, path).json(body)
}

/// The log by the ids of its events.
struct Log {
    events: Vec<Value>,
    at: HashMap<String, usize>,
}

impl Log {
    async fn read(server: &Server) -> Self {
        let events = server.events().await;
        let id = |event: &Value| event["event_id"].as_str().unwrap().to_owned();
        let at = events.iter().enumerate().map(|(at, event)| (id(event), at)).collect();
        Self { events, at }
    }

    /// The last event of this type in this stream.
    fn last(&self, kind: &str, stream: &str) -> &Value {
        let is_wanted = |event: &&Value| event["type"] == kind && event["stream_id"] == stream;
        let found = self.events.iter().rfind(is_wanted);
        found.unwrap_or_else(|| panic!("no {kind} of {stream}"))
    }

    /// The event and what led to it, as far as it goes.
    fn chain<'a>(&'a self, event: &'a Value) -> Vec<&'a Value> {
        let mut chain = vec![event];
        while let Some(id) = chain[chain.len() - 1]["causation_id"].as_str() {
            let cause = &self.events[self.at[id]];
            let effect = chain[chain.len() - 1];
            assert!(cause["position"].as_i64() < effect["position"].as_i64(), "{effect}");
            chain.push(cause);
        }
        chain
    }

    /// Checks with what a chain ends, and the id of the request that it leads to.
    #[track_caller]
    fn leads(&self, event: &Value, to: &[(&str, &str)], request: &str) {
        let chain = self.chain(event);
        let said = |event: &&Value| {
            format!("{} of {}", event["type"].as_str().unwrap(), event["stream_id"])
        };
        let said: Vec<String> = chain.iter().map(said).collect();
        let wanted = to.iter().map(|(kind, stream)| format!("{kind} of {stream:?}"));
        let wanted: Vec<String> = wanted.collect();
        assert!(said.ends_with(&wanted), "{wanted:?} is no end of {said:?}");
        let root = chain[chain.len() - 1];
        assert_eq!(root["correlation_id"], request, "{root}");
    }
}

/// Runs a task of `lead` that calls `helper` and goes on; gives the ids of both executions.
async fn call(server: &Server) -> (String, String) {
    let call = "exec curl -fsS -X POST -H \"Authorization: Bearer $TRINITY_TOKEN\" \
         -H 'Content-Type: application/json' -H 'X-Request-Id: the-call' \
         -d \"{\\\"message\\\":\\\"help\\\",\\\"async_mode\\\":true,\
         \\\"parent_execution_id\\\":\\\"$TRINITY_EXECUTION_ID\\\"}\" \
         \"$TRINITY_URL/api/agents/helper/task\"";
    let message = format!("#!demo\n{call}\nhang");
    let body = json!({"message": message, "async_mode": true});
    let taken = ask(server, "the-task", post(server, "/api/agents/lead/task", &body)).await;
    let id = taken["execution_id"].as_str().unwrap().to_owned();
    let called = until("helper was called", async || {
        let run = server.execution(&id).await;
        assert!(run["status"] != "failed" && run["status"] != "completed", "{run}");
        // A call that failed says why.
        let lines = json!(server.lines(&id).await).to_string();
        assert!(!lines.contains("curl: ("), "{lines}");
        let runs = server.get("/api/agents/helper/executions").await.expect(200);
        Some(runs[0]["id"].as_str()?.to_owned())
    })
    .await;
    assert_eq!(server.until_ended(&called).await["status"], "completed");
    (id, called)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_leads_back_to_the_request_that_it_began_with() {
    let server = Server::start_with(&[("TRINITY_GRACE_MS", "500")]).await;
    for name in ["lead", "helper"] {
        let config = json!({"name": name, "runtime": "demo"});
        ask(&server, &format!("make-{name}"), post(&server, "/api/agents", &config)).await;
        server.until_phase(name, "running").await;
    }
    let permission = "/api/agents/lead/permissions/helper";
    ask(&server, "allow", post(&server, permission, &json!({}))).await;
    let (run, called) = call(&server).await;
    let terminate = format!("/api/agents/lead/executions/{run}/terminate");
    ask(&server, "the-end", post(&server, &terminate, &json!({}))).await;
    assert_eq!(server.until_ended(&run).await["status"], "cancelled");
    ask(&server, "removal", server.request(Method::DELETE, "/api/agents/helper")).await;
    until("helper is gone", async || {
        let answer = server.get("/api/agents/helper").await;
        (answer.status == 404).then_some(())
    })
    .await;

    let log = Log::read(&server).await;
    for event in &log.events {
        let chain = log.chain(event);
        let request = chain[chain.len() - 1]["correlation_id"].as_str();
        assert!(request.is_some_and(|id| !id.is_empty()), "{event}");
    }
    let (task, start) = ("ExecutionRequested", "ExecutionStarted");
    let to_the_task = [(start, run.as_str()), (task, run.as_str())];
    let to_the_call = [(start, called.as_str()), (task, called.as_str())];
    let through_both = [to_the_call, to_the_task].concat();
    let completed = log.last("ExecutionCompleted", &called);
    log.leads(completed, &through_both, "the-task");
    assert_eq!(log.last(task, &called)["correlation_id"], "the-call");
    log.leads(log.last(start, &run), &to_the_task, "the-task");
    let to_the_end = [("CancelRequested", run.as_str())];
    for kind in ["InterruptSent", "ExecutionCancelled"] {
        log.leads(log.last(kind, &run), &to_the_end, "the-end");
    }
    log.leads(log.last("AgentDeleted", "helper"), &[("AgentDeleteRequested", "helper")], "removal");
    log.leads(log.last("AgentStarted", "helper"), &[("AgentCreated", "helper")], "make-helper");

    let shown = server.get(&format!("/api/events/{}", completed["position"])).await.expect(200);
    assert_eq!(shown["is_complete"], true, "{shown}");
    let causes: Vec<&Value> = shown["causes"].as_array().unwrap().iter().collect();
    assert_eq!(causes, log.chain(completed)[1..], "the server goes the same way");
    server.audit().await;
}
