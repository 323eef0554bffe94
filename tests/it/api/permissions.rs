//! Who may call whom, over HTTP.

use serde_json::{Value, json};

use trinity::domain::agent::Setting;

use crate::support::{Client, TestApp};

fn names(peers: &Value) -> Vec<&str> {
    peers.as_array().unwrap().iter().map(|peer| peer["name"].as_str().unwrap()).collect()
}

async fn may_call(client: &Client, caller: &str, callee: &str) -> Value {
    let path = format!("/api/permissions/check?caller={caller}&callee={callee}");
    let mut checked = client.get(&path).await.expect(200);
    checked.as_object_mut().unwrap().remove("position");
    checked
}

fn pairs(list: &Value) -> Vec<String> {
    let pair = |pair: &Value| {
        format!("{}→{}", pair["caller"].as_str().unwrap(), pair["callee"].as_str().unwrap())
    };
    list.as_array().unwrap().iter().map(pair).collect()
}

#[tokio::test]
async fn granting_and_taking_back_is_directed_and_idempotent() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    t.create_agent("coder").await;
    let admin = t.admin();
    let path = "/api/agents/scout/permissions/coder";
    let status = async |answer: crate::support::Answer| {
        let position = answer.position();
        let body = answer.expect(200);
        assert_eq!(body["position"], position);
        assert_eq!(
            (&body["source_agent"], &body["target_agent"]),
            (&"scout".into(), &"coder".into())
        );
        body["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(admin.delete(path).await).await, "not_found");
    assert_eq!(status(admin.post(path, json!({})).await).await, "added");
    assert_eq!(status(admin.post(path, json!({})).await).await, "already_exists");
    let granted =
        json!({"caller": "scout", "callee": "coder", "allowed": true, "reason": "granted"});
    assert_eq!(may_call(&admin, "scout", "coder").await, granted);
    assert_eq!(may_call(&admin, "coder", "scout").await["reason"], "not-granted");
    assert_eq!(may_call(&admin, "coder", "coder").await["reason"], "itself");
    let of_scout = admin.get("/api/agents/scout/permissions").await.expect(200);
    assert_eq!(of_scout["source_agent"], "scout");
    assert_eq!(names(&of_scout["permitted_agents"]), ["coder"]);
    let expected =
        json!({"name": "coder", "status": "stopped", "type": "agent", "permitted": true});
    let mut peer = of_scout["permitted_agents"][0].clone();
    peer["type"] = expected["type"].clone();
    assert_eq!(peer, expected);
    assert_eq!(names(&of_scout["callers"]), Vec::<&str>::new());
    let of_coder = admin.get("/api/agents/coder/permissions").await.expect(200);
    assert_eq!(names(&of_coder["callers"]), ["scout"]);
    assert_eq!(of_coder["available_agents"][0]["permitted"], false);
    assert_eq!(status(admin.delete(path).await).await, "removed");
    assert_eq!(status(admin.delete(path).await).await, "not_found");
    assert_eq!(may_call(&admin, "scout", "coder").await["allowed"], false);
    let events = t.agent_events("scout").await;
    assert_eq!(&events[events.len() - 2..], ["PermissionGranted", "PermissionRevoked"]);
}

#[tokio::test]
async fn what_cannot_be_granted_is_refused_and_changes_nothing() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    t.create_agent("coder").await;
    let admin = t.admin();
    let own = "/api/agents/scout/permissions/scout";
    admin.post(own, json!({})).await.problem(400, "invalid-parameter");
    admin.delete(own).await.problem(400, "invalid-parameter");
    admin.post("/api/agents/scout/permissions/nobody", json!({})).await.problem(404, "not-found");
    admin.post("/api/agents/nobody/permissions/scout", json!({})).await.problem(404, "not-found");
    for bad in ["nobody", "scout", "No Name"] {
        let body = json!({"permitted_agents": ["coder", bad]});
        let answer = admin.put("/api/agents/scout/permissions", body).await;
        let problem = answer.problem(400, "invalid-parameter");
        assert_eq!(problem["errors"][0]["pointer"], "/permitted_agents/1", "{bad}");
    }
    let unknown = json!({"permitted_agents": [], "permited": true});
    admin.put("/api/agents/scout/permissions", unknown).await.problem(422, "unknown-field");
    for query in ["caller=scout", "callee=scout", "caller=scout&callee=No+Name"] {
        let answer = admin.get(&format!("/api/permissions/check?{query}")).await;
        answer.problem(400, "invalid-parameter");
    }
    let answer = admin.get("/api/permissions/check?caller=scout&callee=nobody").await;
    answer.problem(404, "not-found");
    assert_eq!(t.agent_events("scout").await, ["AgentCreated"]);
}

#[tokio::test]
async fn a_full_replacement_grants_and_revokes_what_differs() {
    let t = TestApp::start().await;
    for name in ["scout", "one", "two", "three"] {
        t.create_agent(name).await;
    }
    let set = async |names: &[&str]| {
        let body = json!({"permitted_agents": names});
        let set = t.admin().put("/api/agents/scout/permissions", body).await.expect(200);
        assert_eq!(
            (&set["status"], &set["permitted_count"]),
            (&"updated".into(), &names.len().into())
        );
        let matrix = t.admin().get("/api/permissions").await.expect(200);
        assert_eq!(matrix["is_complete"], true);
        assert_eq!(names_of(&matrix["agents"]), ["one", "scout", "three", "two"]);
        pairs(&matrix["permissions"])
    };
    assert_eq!(set(&["one", "two"]).await, ["scout→one", "scout→two"]);
    assert_eq!(set(&["two", "three"]).await, ["scout→three", "scout→two"]);
    assert_eq!(set(&["two", "three"]).await, ["scout→three", "scout→two"]);
    assert_eq!(set(&[]).await, Vec::<String>::new());
    let events = t.agent_events("scout").await;
    let granted = events.iter().filter(|kind| *kind == "PermissionGranted").count();
    let revoked = events.iter().filter(|kind| *kind == "PermissionRevoked").count();
    assert_eq!((granted, revoked), (3, 3), "nothing is said twice");
}

fn names_of(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_owner_of_what_is_called_decides_and_either_owner_may_take_back() {
    let t = TestApp::start().await;
    let (ada, eve) = (t.user("ada").await, t.user("eve").await);
    t.create_agent_as(&ada, "hers", json!({})).await;
    t.create_agent_as(&ada, "tool", json!({})).await;
    t.create_agent_as(&eve, "mine", json!({})).await;
    let ada_calls_mine = "/api/agents/hers/permissions/mine";
    // Ada cannot open an agent of Eve's, nor can Eve give something to an agent she may not use.
    ada.post(ada_calls_mine, json!({})).await.problem(404, "not-found");
    eve.post(ada_calls_mine, json!({})).await.problem(404, "not-found");
    let body = json!({"permitted_agents": ["tool", "mine"]});
    ada.put("/api/agents/hers/permissions", body).await.problem(404, "not-found");
    assert_eq!(may_call(&ada, "hers", "tool").await["allowed"], false, "all or nothing");
    for _ in 0..2 {
        t.admin().post(ada_calls_mine, json!({})).await.expect(200);
    }
    let eve_closes = eve.delete(ada_calls_mine).await.expect(200);
    assert_eq!(eve_closes["status"], "removed");
    t.admin().post(ada_calls_mine, json!({})).await.expect(200);
    let stranger = t.user("stranger").await;
    stranger.delete(ada_calls_mine).await.problem(404, "not-found");
    // Each sees the grant from their own side, the other agent by its name.
    let of_hers = ada.get("/api/agents/hers/permissions").await.expect(200);
    assert_eq!(of_hers["permitted_agents"][0]["name"], "mine");
    assert_eq!(of_hers["permitted_agents"][0]["status"], Value::Null);
    let available = names(&of_hers["available_agents"]);
    assert_eq!(available, ["mine", "tool"]);
    for (client, agents) in [(&ada, vec!["hers", "tool"]), (&eve, vec!["mine"])] {
        let matrix = client.get("/api/permissions").await.expect(200);
        assert_eq!(names_of(&matrix["agents"]), agents);
        assert_eq!(pairs(&matrix["permissions"]), ["hers→mine"]);
    }
    let nothing = stranger.get("/api/permissions").await.expect(200);
    assert_eq!((&nothing["agents"], &nothing["permissions"]), (&json!([]), &json!([])));
    let check = "/api/permissions/check?caller=hers&callee=mine";
    stranger.get(check).await.problem(404, "not-found");
    assert_eq!(ada.delete(ada_calls_mine).await.expect(200)["status"], "removed");
}

#[tokio::test]
async fn an_agent_gives_itself_nothing() {
    let t = TestApp::start().await;
    let caller = t.running_agent("caller", 1).await;
    let callee = t.running_agent("callee", 1).await;
    let client = t.as_agent(&caller).await;
    let path = "/api/agents/caller/permissions/callee";
    client.post(path, json!({})).await.problem(403, "permission_denied");
    t.grant(&caller, &callee).await;
    client.post(path, json!({})).await.problem(403, "permission_denied");
    let body = json!({"permitted_agents": []});
    client.put("/api/agents/callee/permissions", body).await.expect(200);
    assert_eq!(client.delete(path).await.expect(200)["status"], "removed", "its own it may drop");
    let body = json!({"message": "m", "async_mode": true});
    client.post("/api/agents/callee/task", body).await.problem(403, "permission_denied");
}

#[tokio::test]
async fn a_preset_sets_every_pair_of_its_agents_and_no_other() {
    let t = TestApp::start().await;
    for name in ["one", "two", "three", "outside"] {
        t.create_agent(name).await;
    }
    let admin = t.admin();
    admin.post("/api/agents/one/permissions/outside", json!({})).await.expect(200);
    let apply = async |preset: &str, dry_run: bool| {
        let body = json!({"agents": ["one", "two", "three"], "preset": preset, "dry_run": dry_run});
        let applied = admin.post("/api/permissions/preset", body).await.expect(200);
        let expected = if dry_run { "dry_run" } else { "applied" };
        assert_eq!((&applied["status"], &applied["preset"]), (&expected.into(), &preset.into()));
        let matrix = admin.get("/api/permissions").await.expect(200);
        (pairs(&applied["granted"]), pairs(&applied["revoked"]), pairs(&matrix["permissions"]))
    };
    let none = Vec::<String>::new();
    let (granted, revoked, now) = apply("full-mesh", true).await;
    assert_eq!((granted.len(), revoked, now), (6, none.clone(), vec!["one→outside".to_owned()]));
    let (granted, revoked, now) = apply("full-mesh", false).await;
    assert_eq!((granted.len(), revoked, now.len()), (6, none.clone(), 7));
    let (granted, revoked, now) = apply("orchestrator-workers", false).await;
    assert_eq!((granted, revoked.len()), (none.clone(), 4));
    assert_eq!(now, ["one→outside", "one→three", "one→two"]);
    let (granted, revoked, now) = apply("none", false).await;
    assert_eq!((granted, revoked), (none.clone(), vec!["one→two".into(), "one→three".into()]));
    assert_eq!(now, ["one→outside"]);
    let (granted, revoked, _) = apply("none", false).await;
    assert_eq!((granted, revoked), (none.clone(), none));
    let apply = async |client: &Client, agents: Value, preset: &str| {
        client.post("/api/permissions/preset", json!({"agents": agents, "preset": preset})).await
    };
    apply(&admin, json!([]), "none").await.problem(422, "invalid-field");
    apply(&admin, json!(["one", "one"]), "none").await.problem(422, "invalid-field");
    apply(&admin, json!(["one"]), "star").await.problem(422, "invalid-field");
    apply(&admin, json!(["one", "nobody"]), "none").await.problem(404, "not-found");
    let ada = t.user("ada").await;
    t.create_agent_as(&ada, "hers", json!({})).await;
    apply(&ada, json!(["hers", "one"]), "full-mesh").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_grant_to_a_life_that_is_over_is_worth_nothing() {
    let t = TestApp::start().await;
    let caller = t.running_agent("caller", 1).await;
    let first = t.running_agent("callee", 1).await;
    let path = "/api/agents/caller/permissions/callee";
    t.admin().post(path, json!({})).await.expect(200);
    t.admin().delete("/api/agents/callee?wait_ms=0").await.expect(202);
    t.admin().post(path, json!({})).await;
    t.report_deleted(&first).await;
    t.admin().post(path, json!({})).await.problem(404, "not-found");
    let guest = t.user("guest").await;
    let me = guest.get("/api/users/me").await.expect(200);
    let user = me["id"].as_str().unwrap().parse().unwrap();
    t.set(&caller, Setting::Share { user }).await;
    let body = json!({"permitted_agents": []});
    guest.put("/api/agents/caller/permissions", body).await.expect(200);
    assert_eq!(t.admin().delete(path).await.expect(200)["status"], "not_found");
    t.running_agent("callee", 1).await;
    assert_eq!(may_call(&t.admin(), "caller", "callee").await["allowed"], false);
    assert_eq!(t.admin().post(path, json!({})).await.expect(200)["status"], "added");
    assert_eq!(may_call(&t.admin(), "caller", "callee").await["allowed"], true);
}
