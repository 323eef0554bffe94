//! Searches for what people type, special characters among it: of messages and of transcripts.

use serde_json::{Value, json};

use crate::support::{TestApp, said};

/// Everything that means something to one query language or another.
const SPECIAL: [&str; 30] = [
    "%", "_", "\"", "'", "*", "\\", "(", ")", "^", ":", "-", "+", "~", "!", "&", "|", "<", ">",
    "?", "[", "]", "{", "}", "$", "#", ";", "=", "\u{1}", "\u{e000}", "🚀",
];

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn messages(list: &Value) -> Vec<String> {
    let message = |row: &Value| row["message"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(message).collect()
}

#[tokio::test]
async fn every_special_character_finds_the_messages_that_have_it() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    for special in SPECIAL {
        t.submit(&t.admin(), &life.name, &format!("before{special}after")).await;
    }
    t.submit(&t.admin(), &life.name, "nothing of that kind").await;
    for special in SPECIAL {
        let path = format!("/api/executions?q={}", encoded(special));
        let found = t.admin().get(&path).await.expect(200);
        assert_eq!(messages(&found), [format!("before{special}after")], "{special:?}");
        let path =
            format!("/api/agents/scout/executions?q={}", encoded(&format!("AFTER {special}")));
        let found = t.admin().get(&path).await.expect(200);
        assert_eq!(messages(&found).len(), 1, "{special:?}");
    }
}

#[tokio::test]
async fn words_of_query_languages_are_words() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let said = "cats AND dogs, NOT birds: NEAR(water)";
    t.submit(&t.admin(), &life.name, said).await;
    t.submit(&t.admin(), &life.name, "cats").await;
    for (q, count) in [
        ("cats AND dogs", 1),
        ("cats OR dogs", 0),
        ("NOT", 1),
        ("near(water", 1),
        ("cats", 2),
        ("cat", 0),
        ("\"cats\"", 0),
        ("dogs:*", 0),
        ("{words}: cats", 0),
        ("'; DROP TABLE executions; --", 0),
        ("$1", 0),
        ("   ", 2),
        ("", 2),
    ] {
        let path = format!("/api/executions?q={}", encoded(q));
        let found = t.admin().get(&path).await.expect(200);
        assert_eq!(messages(&found).len(), count, "{q}");
    }
    let nul = t.admin().get("/api/executions?q=%00").await;
    nul.problem(400, "invalid-parameter");
    let long = format!("/api/executions?q={}", "x".repeat(1_001));
    t.admin().get(&long).await.problem(400, "invalid-parameter");
    let many = format!("/api/executions?q={}", encoded(&"a ".repeat(500)));
    assert_eq!(t.admin().get(&many).await.expect(200), json!([]));
}

#[tokio::test]
async fn the_whole_message_is_searched_however_long_it_is() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let message = format!("{} needle", "hay ".repeat(100_000));
    t.submit(&t.admin(), &life.name, &message).await;
    let found = t.admin().get("/api/executions?q=Needle").await.expect(200);
    assert_eq!(found.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn costs_narrow_a_list_and_bad_ones_are_refused() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "costs two cents").await;
    t.complete(id, "done").await;
    t.submit(&t.admin(), &life.name, "costs nothing yet").await;
    for (query, count) in [
        ("cost_min=0.02", 1),
        ("cost_min=0.021&cost_max=0.021", 1),
        ("cost_min=0.022", 0),
        ("cost_max=0.02", 0),
        ("cost_max=1&status=completed", 1),
        ("cost_max=1&status=failed", 0),
        ("cost_min=0", 1),
    ] {
        for path in ["/api/executions", "/api/agents/scout/executions"] {
            let found = t.admin().get(&format!("{path}?{query}")).await.expect(200);
            assert_eq!(found.as_array().unwrap().len(), count, "{query}");
        }
    }
    for query in ["cost_min=-1", "cost_min=x", "cost_max=NaN", "cost_max=inf", "cost_min="] {
        let path = format!("/api/executions?{query}");
        t.admin().get(&path).await.problem(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn a_transcript_is_searched_for_what_it_shows() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "talk").await;
    t.report_started(id).await;
    let lines = ["all is well", "he said \"stop\"", "100% sure", "tab\there", "Ärger"].map(said);
    t.write(id, &lines.each_ref().map(String::as_str)).await;
    let log = format!("/api/agents/scout/executions/{id}/log");
    for (q, seqs) in [
        ("WELL", vec![1]),
        ("\"", vec![2]),
        ("\"stop\"", vec![2]),
        ("%", vec![3]),
        ("tab\there", vec![4]),
        ("ärger", vec![5]),
        ("*", vec![]),
        ("type", vec![]),
        ("\\", vec![]),
    ] {
        let found = t.admin().get(&format!("{log}?q={}", encoded(q))).await.expect(200);
        let found_seqs: Vec<_> =
            found["entries"].as_array().unwrap().iter().map(|e| &e["seq"]).collect();
        assert_eq!(json!(found_seqs), json!(seqs), "{q}");
        assert_eq!((&found["next"], &found["total"]), (&json!(5), &json!(5)), "{q}");
    }
    let long = format!("{log}?q={}", "x".repeat(1_001));
    t.admin().get(&long).await.problem(400, "invalid-parameter");
}
