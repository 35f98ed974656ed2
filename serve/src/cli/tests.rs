use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use clap::Parser;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

use super::*;
use crate::cli::output::Captured;

type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// Keeps what was asked and answers with something plausible.
async fn serve() -> (Calls, String) {
    let calls = Calls::default();
    let kept = Arc::clone(&calls);
    let router = Router::new().fallback(move |request: Request| answer(Arc::clone(&kept), request));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (calls, url)
}

async fn answer(calls: Calls, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let call = format!("{} {}", parts.method, parts.uri);
    calls.lock().push((call, body));
    let trail = json!({"name": "writes", "version": 1, "status": "Fresh", "read_write": "All",
                       "accounts": "all", "regions": ["a", "b"]});
    let answer = match (parts.method, parts.uri.path()) {
        (Method::DELETE, _) => return StatusCode::NO_CONTENT.into_response(),
        (Method::POST, "/v1/tokens") => json!({"id": "0123456789abcdef", "token": "cairn_secret"}),
        (Method::GET, "/v1/tokens") => json!({"tokens": [
            {"id": "0123456789abcdef", "name": null, "role": "auditor", "accounts": ["123456789012"],
             "created": "2026-01-01T00:00:00Z", "by": "x", "revoked": false}]}),
        (Method::POST, "/v1/quarantine/resubmit") => {
            json!({"accepted": 1, "duplicate": 0, "refused": 1, "events": []})
        }
        (Method::GET, path) if path.ends_with("/explain") => json!({"events": [
            {"event": {"event_id": "E\u{1b}"}, "taken": false, "version": 2, "why": "it is a read"}]}),
        (_, path) if path.starts_with("/v1/trails/none") => {
            let error =
                json!({"error": {"code": "not_found", "message": "no trail none", "hint": "look"}});
            return (StatusCode::NOT_FOUND, error.to_string()).into_response();
        }
        (_, path) if path.starts_with("/v1/trails") => trail,
        _ => json!({"log": {"next": 5}, "state": "ready"}),
    };
    answer.to_string().into_response()
}

async fn cairn(url: &str, line: &[&str]) -> (Outcome, Captured, Captured) {
    let given = ["cairn"].iter().chain(line);
    let connection = ["--url", url, "--token", "cairn_test"];
    let cli = Cli::try_parse_from(given.chain(&connection)).unwrap();
    let (mut out, stdout, stderr) = Out::captured();
    (run(cli.command, &mut out).await, stdout, stderr)
}

#[test]
fn the_command_is_well_formed() {
    command().debug_assert();
}

#[test]
fn help_says_that_reads_are_taken_too() {
    let mut command = command();
    let create = command
        .find_subcommand_mut("trail")
        .and_then(|trail| trail.find_subcommand_mut("create"))
        .unwrap();
    let help = create.render_help().to_string();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("default for a new trail is All"), "{help}");
    assert!(help.contains("reads are taken too"), "{help}");
}

#[test]
fn wrong_arguments_are_usage_errors() {
    for line in [
        &["token", "create", "--accounts", "all"][..],
        &["token", "create", "--role", "king", "--accounts", "all"],
        &["token", "create", "--role", "sender", "--accounts", "12"],
        &["token", "create", "--role", "sender"],
        &["account", "add", "12"],
        &["trail", "create", "1"],
        &["trail", "create", "writes", "--select", "colour=red"],
        &["trail", "create", "writes", "--rw", "Both"],
        &["trail", "create", "writes", "--backfill"],
        &["trail", "create", "writes", "--endpoint", "http://h"],
        &["trail", "create", "writes", "--retention", "0"],
        &["trail", "explain", "writes"],
        &["ingest"],
        &["ingest", "--concurrency", "0", "x"],
        &["ingest", "--account", "x", "y"],
        &["sql", "--format", "xml", "SELECT 1"],
        &["organization", "set"],
        &["nonsense"],
    ] {
        let error = Cli::try_parse_from(["cairn"].iter().chain(line)).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line:?}");
    }
}

#[tokio::test]
async fn the_token_stands_alone_on_standard_output() {
    let (calls, url) = serve().await;
    let line = [
        "token",
        "create",
        "--role",
        "sender",
        "--accounts",
        "123456789012,0000123456789012",
    ];
    let (outcome, stdout, stderr) = cairn(&url, &line).await;
    assert_eq!(outcome.unwrap(), Exit::Done);
    assert_eq!(stdout.text(), "cairn_secret\n");
    assert!(!stderr.text().contains("cairn_secret"));
    assert_eq!(
        calls.lock()[0],
        (
            "POST /v1/tokens".to_owned(),
            json!({"role": "sender", "accounts": ["123456789012", "0000123456789012"]})
        )
    );
}

#[tokio::test]
async fn lists_are_tables_or_the_answer_as_it_came() {
    let (_, url) = serve().await;
    let (_, stdout, _) = cairn(&url, &["token", "list"]).await;
    assert!(stdout.text().starts_with("ID "), "{}", stdout.text());
    assert!(stdout.text().contains("123456789012"), "{}", stdout.text());
    let (_, stdout, _) = cairn(&url, &["token", "list", "--json"]).await;
    assert!(
        stdout.text().starts_with("{\"tokens\":"),
        "{}",
        stdout.text()
    );
}

#[tokio::test]
async fn a_trail_is_made_as_it_was_described() {
    let (calls, url) = serve().await;
    let line = [
        "trail",
        "create",
        "writes",
        "--accounts",
        "all",
        "--regions",
        "a,b",
        "--rw",
        "Write",
        "--category",
        "Management",
        "--select",
        "event_name=Create*",
        "--select",
        "service!=kms",
        "--to",
        "s3://bucket/trail",
        "--endpoint",
        "https://s3.example",
        "--s3-region",
        "r",
        "--retention",
        "3650",
        "--start",
        "--backfill",
    ];
    let (outcome, stdout, _) = cairn(&url, &line).await;
    outcome.unwrap();
    assert!(stdout.text().starts_with("trail writes: version 1"));
    assert_eq!(
        calls.lock()[0].1,
        json!({
            "name": "writes", "regions": ["a", "b"], "read_write": "Write",
            "categories": ["Management"], "fields": ["event_name=Create*", "service!=kms"],
            "destination": {"url": "s3://bucket/trail", "endpoint": "https://s3.example", "region": "r"},
            "retention_days": 3650, "start": true, "backfill": true,
        })
    );
}

#[tokio::test]
async fn a_bare_trail_leaves_every_default_to_the_server() {
    let (calls, url) = serve().await;
    let (_, _, stderr) = cairn(&url, &["trail", "create", "everything"]).await;
    assert_eq!(calls.lock()[0].1, json!({"name": "everything"}));
    assert!(
        stderr.text().contains("cairn trail start"),
        "{}",
        stderr.text()
    );
}

#[tokio::test]
async fn an_update_says_only_what_changes_and_null_for_all() {
    let (calls, url) = serve().await;
    let line = [
        "trail",
        "update",
        "writes",
        "--accounts",
        "all",
        "--retention",
        "forever",
        "--no-select",
    ];
    cairn(&url, &line).await.0.unwrap();
    assert_eq!(
        calls.lock()[0],
        (
            "PATCH /v1/trails/writes".to_owned(),
            json!({"accounts": null, "retention_days": null, "fields": null})
        )
    );
    let (outcome, _, _) = cairn(&url, &["trail", "update", "writes"]).await;
    assert_eq!(outcome.unwrap_err().code(), 2);
}

#[tokio::test]
async fn explain_asks_and_tells() {
    let (calls, url) = serve().await;
    let line = [
        "trail",
        "explain",
        "writes",
        "--event",
        "a/b&c",
        "--account",
        "123456789012",
    ];
    let (outcome, stdout, _) = cairn(&url, &line).await;
    outcome.unwrap();
    assert_eq!(
        calls.lock()[0].0,
        "GET /v1/trails/writes/explain?event_id=a%2Fb%26c&account=123456789012"
    );
    assert_eq!(
        stdout.text(),
        "not taken by version 2: it is a read\n  event_id: E\\u{1b}\n"
    );
}

#[tokio::test]
async fn the_servers_error_is_told_with_its_hint() {
    let (_, url) = serve().await;
    let (outcome, _, _) = cairn(&url, &["trail", "show", "none"]).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.code(), 1);
    assert_eq!(failure.to_string(), "no trail none\nhint: look");
}

#[tokio::test]
async fn the_remaining_calls_go_where_they_should() {
    let (calls, url) = serve().await;
    for line in [
        &["trail", "start", "writes", "--backfill"][..],
        &["trail", "stop", "writes"],
        &["trail", "delete", "writes"],
        &["token", "revoke", "0123456789abcdef"],
        &["account", "add", "123456789012", "--name", "payments"],
        &["account", "list"],
        &["account", "remove", "123456789012"],
        &["organization", "show"],
        &[
            "organization",
            "set",
            "--management-account",
            "123456789012",
        ],
        &["status"],
        &["flush"],
        &["whoami", "--json"],
    ] {
        let (outcome, _, _) = cairn(&url, line).await;
        assert_eq!(outcome.unwrap(), Exit::Done, "{line:?}");
    }
    let made: Vec<String> = calls
        .lock()
        .iter()
        .map(|(call, body)| match body {
            Value::Null => call.clone(),
            body => format!("{call} {body}"),
        })
        .collect();
    assert_eq!(
        made,
        [
            "POST /v1/trails/writes/start {\"backfill\":true}",
            "POST /v1/trails/writes/stop",
            "DELETE /v1/trails/writes",
            "DELETE /v1/tokens/0123456789abcdef",
            "POST /v1/accounts {\"id\":\"123456789012\",\"name\":\"payments\"}",
            "GET /v1/accounts",
            "DELETE /v1/accounts/123456789012",
            "GET /v1/organization",
            "PUT /v1/organization {\"management_account\":\"123456789012\"}",
            "GET /v1/status",
            "POST /v1/flush",
            "GET /v1/whoami",
        ]
    );
}

#[tokio::test]
async fn resubmitting_ends_with_three_where_something_is_refused_again() {
    let (calls, url) = serve().await;
    let line = [
        "quarantine",
        "resubmit",
        "--source",
        "log",
        "--partition",
        "0",
        "--offset",
        "7",
    ];
    let (outcome, stdout, _) = cairn(&url, &line).await;
    assert_eq!(outcome.unwrap(), Exit::SomeRefused);
    assert_eq!(stdout.text(), "1 accepted, 0 duplicate, 1 refused\n");
    assert_eq!(
        calls.lock()[0].1,
        json!({"source": "log", "partition": 0, "offset": 7})
    );
}

#[tokio::test]
async fn the_token_may_come_from_a_file_and_a_flag_beats_it() {
    let (_, url) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "cairn_from_file\n").unwrap();
    let file = path.to_str().unwrap();
    let run_it = async |line: &[&str]| {
        let cli = Cli::try_parse_from(line).unwrap();
        let (mut out, _, _) = Out::captured();
        run(cli.command, &mut out).await
    };
    let line = ["cairn", "whoami", "--url", &url, "--token-file", file];
    run_it(&line).await.unwrap();
    std::fs::write(&path, "two words").unwrap();
    let failure = run_it(&line).await.unwrap_err();
    assert!(
        failure.to_string().contains("one token and nothing else"),
        "{failure}"
    );
    let both = [
        "cairn",
        "whoami",
        "--url",
        &url,
        "--token-file",
        file,
        "--token",
        "x",
    ];
    run_it(&both).await.unwrap();
}

#[test]
fn addresses_are_checked() {
    for url in ["127.0.0.1:7070", "ftp://h", "", "http://user:pw@h"] {
        let error = crate::client::Client::new(url, None).unwrap_err();
        assert!(error.to_string().contains("CAIRN_URL"), "{error}");
    }
}
