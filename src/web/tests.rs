use super::*;

/// A build of three files, one of them compressed.
#[derive(RustEmbed)]
#[folder = "tests/fixtures/ui"]
struct Built;

/// What a checkout has before the interface is built.
#[derive(RustEmbed)]
#[folder = "tests/fixtures/no-ui"]
struct Nothing;

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

async fn get<F: RustEmbed>(path: &str, headers: &[(&str, &str)]) -> (Response, String) {
    ask::<F>(&Method::GET, path, headers).await
}

async fn ask<F: RustEmbed>(
    method: &Method,
    path: &str,
    headers: &[(&str, &str)],
) -> (Response, String) {
    let headers = headers.iter().map(|(name, value)| {
        (name.parse::<header::HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    });
    let response = answer::<F>(method, path, &headers.collect());
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    (Response::from_parts(parts, Body::empty()), text)
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_address_of_the_interface_is_its_page_which_is_never_stored() {
    for path in ["/", "/index.html", "/executions", "/agents/scout/tasks"] {
        let (response, html) = get::<Built>(path, &[("accept", BROWSER)]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");
        assert!(html.contains("the built page"), "{html}");
    }
}

#[tokio::test]
async fn programs_are_told_that_an_unknown_address_is_none() {
    for (path, accept) in [
        ("/executions", "*/*"),
        ("/executions", "application/json"),
        ("/no.js", "*/*"),
        ("/.hidden.json", "*/*"),
    ] {
        let (response, body) = get::<Built>(path, &[("accept", accept)]).await;
        assert_eq!((response.status(), body.as_str()), (StatusCode::NOT_FOUND, ""), "{path}");
    }
    let (response, _) = ask::<Built>(&Method::POST, "/", &[("accept", BROWSER)]).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_page_never_stands_in_for_the_api_or_for_a_missing_file() {
    for path in ["/api", "/api/", "/api/nope", "/mcp", "/ws", "/assets/gone-12345678.js"] {
        let (response, _) = get::<Built>(path, &[("accept", BROWSER)]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_policy_knows_the_styles_of_this_answer_alone() {
    let (first, html) = get::<Built>("/", &[]).await;
    let (second, _) = get::<Built>("/", &[]).await;
    let policy = header(&first, "content-security-policy");
    assert_ne!(policy, header(&second, "content-security-policy"));
    assert!(policy.starts_with("default-src 'self'; "), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(nonce.len() >= 20 && html.contains(&format!("nonce=\"{nonce}\"")), "{html}");
    assert!(!html.contains(NONCE_PLACEHOLDER), "{html}");
}

#[tokio::test]
async fn files_named_by_their_content_are_kept_for_ever_and_others_are_asked_for_again() {
    let (hashed, script) = get::<Built>("/assets/app-1a2b3c4d.js", &[]).await;
    assert_eq!(header(&hashed, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header(&hashed, "content-type"), "text/javascript");
    assert_eq!(header(&hashed, "content-encoding"), "");
    assert!(script.contains("the script"), "{script}");
    let (other, _) = get::<Built>("/theme.js", &[]).await;
    assert_eq!(header(&other, "cache-control"), "no-cache");
}

#[tokio::test]
async fn files_go_out_compressed_to_whoever_reads_that() {
    let path = "/assets/app-1a2b3c4d.js";
    let (packed, bytes) = get::<Built>(path, &[("accept-encoding", "br, gzip;q=0.5")]).await;
    assert_eq!(header(&packed, "content-encoding"), "gzip");
    assert_eq!(header(&packed, "content-type"), "text/javascript");
    assert_eq!(header(&packed, "vary"), "accept-encoding");
    assert!(!bytes.contains("the script"));
    let (plain, _) = get::<Built>(path, &[("accept-encoding", "gzip;q=0")]).await;
    assert_eq!(header(&plain, "content-encoding"), "");
}

#[tokio::test]
async fn a_build_without_the_interface_says_how_to_make_it() {
    let (response, html) = get::<Nothing>("/executions", &[("accept", BROWSER)]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(html.contains("make ui") && html.contains("/api/docs"), "{html}");
    assert!(header(&response, "content-security-policy").contains("'nonce-"));
}
