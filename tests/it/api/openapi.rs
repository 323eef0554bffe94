//! The description of the API.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::TestApp;

/// Where the accepted description stands; clients are generated from it.
const FILE: &str = "openapi.json";

#[test]
fn the_description_is_the_accepted_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let made = trinity::api::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let accepted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == accepted,
        "the API has changed; look at the difference, then accept it with:\n  \
         UPDATE_OPENAPI=1 cargo test --test it openapi && git diff {FILE}"
    );
}

#[tokio::test]
async fn the_server_describes_itself_in_openapi_3_1() {
    let t = TestApp::start().await;
    let api = t.anonymous().get("/api/openapi.json").await.expect(200);
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(api["info"]["title"], "Trinity");
    let mut ids = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} says nothing of itself");
            assert_eq!(
                operation["responses"]["default"]["$ref"], "#/components/responses/Problem",
                "{method} {path}"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                let text =
                    |field: &str| response[field].as_str().is_some_and(|text| !text.is_empty());
                let says = text("$ref") || text("description");
                assert!(says, "{method} {path} does not say what {status} is");
            }
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id.clone()), "two operations are called {id}");
        }
    }
}
