//! The web interface beside the API: which of the two answers, and what browsers are told.

use crate::support::TestApp;

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

#[tokio::test]
async fn browsers_get_the_page_without_a_login_and_with_careful_headers() {
    let t = TestApp::start().await;
    for path in ["/", "/executions?status=failed", "/login"] {
        let page = t.anonymous().with_header("accept", BROWSER).get(path).await;
        assert_eq!(page.status, 200, "{path}");
        let header = |name: &str| page.header(name).unwrap_or_default().to_owned();
        assert!(header("content-type").starts_with("text/html"), "{path}");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'self'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    }
}

#[tokio::test]
async fn what_the_api_does_not_have_is_a_problem_even_to_a_browser() {
    let t = TestApp::start().await;
    let browser = t.anonymous().with_header("accept", BROWSER);
    browser.get("/api/nope").await.problem(404, "not-found");
    browser.get("/api").await.problem(404, "not-found");
    browser.get("/assets/gone-12345678.js").await.problem(404, "not-found");
    browser.post("/executions", serde_json::json!({})).await.problem(404, "not-found");
    t.anonymous().get("/executions").await.problem(404, "not-found");
    let docs = browser.get("/api/docs").await;
    assert_eq!(docs.status, 200);
    assert!(docs.header("content-security-policy").unwrap().contains("script-src 'self'"));
}
