//! Pictures of agents: set, shown, told from what is none, gone with their agent.

use reqwest::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::support::User;
use crate::server::{Answer, Server};
use crate::traces::incarnations_in;

const PATH: &str = "/api/agents/scout/avatar";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\nof little use";
const GIF: &[u8] = b"GIF89a<script>alert(1)</script>";

async fn set(server: &Server, image: impl Into<reqwest::Body>) -> Answer {
    let request = server.request(Method::PUT, PATH).body(image);
    server.try_send(request).await.expect("the server answers")
}

async fn shown(server: &Server) -> Response {
    server.request(Method::GET, PATH).send().await.unwrap()
}

#[tokio::test]
async fn a_picture_is_what_its_bytes_say_and_goes_with_its_agent() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    assert_eq!(shown(&server).await.status(), 404);
    let agent = server.get("/api/agents/scout").await.expect(200);
    assert_eq!(agent["avatar_sha256"], Value::Null);
    let digest = hex::encode(Sha256::digest(PNG));
    assert_eq!(set(&server, PNG).await.expect(200)["avatar_sha256"], json!(digest));
    let picture = shown(&server).await;
    let header = |name| picture.headers()[name].to_str().unwrap().to_owned();
    let etag = header(ETAG);
    assert_eq!((header(CONTENT_TYPE).as_str(), &etag), ("image/png", &format!("\"{digest}\"")));
    assert!(header(CONTENT_SECURITY_POLICY).contains("sandbox"));
    assert_eq!(picture.headers()["x-content-type-options"], "nosniff");
    assert_eq!(picture.bytes().await.unwrap(), PNG);
    let again =
        server.request(Method::GET, PATH).header(IF_NONE_MATCH, &etag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), again.bytes().await.unwrap().len()), (304, 0));

    // What might be run as a page is an image, or nothing.
    assert_eq!(set(&server, GIF).await.status, 200);
    let picture = shown(&server).await;
    assert_eq!(picture.headers()[CONTENT_TYPE], "image/gif");
    for bad in [&b""[..], b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>", b"{}"] {
        set(&server, bad).await.problem(415, "unsupported-media-type");
    }
    let mut large = PNG.to_vec();
    large.resize(256 * 1024 + 1, 0);
    set(&server, large.clone()).await.problem(413, "body-too-large");
    large.truncate(256 * 1024);
    let set_large = set(&server, large.clone()).await.expect(200);
    server.crash().await;
    assert_eq!(shown(&server).await.bytes().await.unwrap(), large);
    let agents = server.get("/api/agents").await.expect(200);
    assert_eq!(agents[0]["avatar_sha256"], set_large["avatar_sha256"]);
    let events = json!(server.events().await).to_string();
    assert_eq!(events.matches("AvatarChanged").count(), 3);
    assert!(!events.contains("GIF89a"), "the log holds its digest alone");

    assert_eq!(server.delete(PATH).await.expect(200)["avatar_sha256"], Value::Null);
    assert_eq!(shown(&server).await.status(), 404);
    set(&server, GIF).await.expect(200);
    assert_eq!(incarnations_in(&server, "avatars").await.len(), 1);
    server.delete("/api/agents/scout").await.expect(200);
    assert_eq!(incarnations_in(&server, "avatars").await, Vec::<String>::new());
    server.agent("scout").await;
    assert_eq!(shown(&server).await.status(), 404, "a new life inherits nothing");
    server.audit().await;
}

#[tokio::test]
async fn changes_that_are_refused_leave_the_picture_that_the_log_names() {
    let server = Server::start().await;
    server.agent("scout").await;
    set(&server, PNG).await.expect(200);
    // Each is made under the version that the agent has at first; tags that are changed meanwhile refuse
    // some of them before they are recorded, and some after they were kept.
    for round in 0..20 {
        let agent = server.request(Method::GET, "/api/agents/scout").send().await.unwrap();
        let version = agent.headers()[ETAG].clone();
        let image = [GIF, round.to_string().as_bytes()].concat();
        let put = server.request(Method::PUT, PATH).header(IF_MATCH, version).body(image.clone());
        let tags = json!({ "tags": [format!("tag-{round}")] });
        let (put, tagged) =
            tokio::join!(server.try_send(put), server.put("/api/agents/scout/tags", tags));
        let (tagged, put) = (tagged.expect(200), put.expect("the server answers"));
        assert!([200, 412].contains(&put.status.as_u16()), "{put:?}");
        let position = tagged["position"].as_i64().max(put.body["position"].as_i64()).unwrap();
        let path = format!("/api/agents/scout?min_position={position}");
        let agent = server.get(&path).await.expect(200);
        let picture = shown(&server).await;
        let etag = picture.headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(json!(etag.trim_matches('"')), agent["avatar_sha256"]);
        let is_new = picture.bytes().await.unwrap() == image;
        assert_eq!(is_new, put.status == 200);
        assert_eq!(incarnations_in(&server, "avatars").await.len(), 1, "no other is left");
    }
    server.audit().await;
}

#[tokio::test]
async fn the_command_line_sets_saves_and_removes_a_picture() {
    let server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    let run = async |words: &[&str]| user.run(&[&["agent", "avatar"], words].concat()).await;
    let saved = user.path("saved.png");
    let save = ["get", "scout", "--output", saved.to_str().unwrap()];
    run(&save).await.exits(4).says("no picture");
    assert!(!saved.exists());
    std::fs::write(user.path("a.png"), PNG).unwrap();
    let set = run(&["set", "scout", "a.png"]).await.exits(0).json();
    assert_eq!(set["avatar_sha256"], json!(hex::encode(Sha256::digest(PNG))));
    run(&save).await.exits(0);
    assert_eq!(std::fs::read(&saved).unwrap(), PNG);
    let piped = user.run_with_input(&["agent", "avatar", "set", "scout", "--text"], "GIF89a").await;
    assert_eq!(piped.exits(0).stdout, "scout has a picture\n");
    assert_eq!(run(&["get", "scout"]).await.exits(0).stdout, "GIF89a");

    std::fs::write(user.path("page"), "<html>").unwrap();
    run(&["set", "scout", "page"]).await.exits(2).says("PNG");
    std::fs::write(user.path("large"), vec![0; 256 * 1024 + 1]).unwrap();
    run(&["set", "scout", "large"]).await.exits(2).says("more than 262144 bytes");
    run(&["set", "scout", "nowhere"]).await.exits(2).says("nowhere");
    let gone = run(&["rm", "scout", "--text"]).await.exits(0).stdout;
    assert_eq!(gone, "scout has no picture\n");
    assert_eq!(shown(&server).await.status(), 404);
}
