use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::cli::output::Captured;

/// A server that keeps bodies and answers as it is told.
#[derive(Default)]
struct Mock {
    bodies: Mutex<Vec<(Option<String>, Bytes)>>,
    /// Answers for the first calls; afterwards everything is accepted.
    script: Mutex<Vec<(u16, &'static str)>>,
    /// Bodies longer than this are too large; 0 is no limit.
    most: AtomicUsize,
    /// Whether the token is known.
    stranger: bool,
}

impl Mock {
    async fn start(self) -> (Arc<Self>, String) {
        let mock = Arc::new(self);
        let router = Router::new()
            .route("/v1/whoami", get(whoami))
            .route("/v1/events", post(events))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&mock));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (mock, url)
    }

    /// Every event of every body, sorted.
    fn events(&self) -> Vec<String> {
        let bodies = self.bodies.lock();
        let mut all: Vec<String> = bodies
            .iter()
            .flat_map(|(_, body)| read_events(body))
            .map(|event| event.to_string())
            .collect();
        all.sort();
        all
    }
}

fn read_events(body: &[u8]) -> Vec<Value> {
    let text = match inputs::encoding_of(body) {
        Some(crate::client::Encoding::Zstd) => zstd::decode_all(body).unwrap(),
        Some(crate::client::Encoding::Gzip) => {
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(body), &mut text)
                .unwrap();
            text
        }
        None => body.to_vec(),
    };
    let mut all = Vec::new();
    for value in serde_json::Deserializer::from_slice(&text).into_iter::<Value>() {
        match value.unwrap() {
            Value::Array(items) => all.extend(items),
            Value::Object(mut fields) => match fields.remove("Records") {
                Some(Value::Array(items)) => all.extend(items),
                _ => all.push(Value::Object(fields)),
            },
            other => all.push(other),
        }
    }
    all
}

fn error(status: u16, code: &str) -> Response {
    let body = json!({"error": {"code": code, "message": format!("because {code}")}});
    let status = StatusCode::from_u16(status).unwrap();
    (status, body.to_string()).into_response()
}

async fn whoami(State(mock): State<Arc<Mock>>, headers: HeaderMap) -> Response {
    assert_eq!(headers["authorization"], "Bearer cairn_test");
    if mock.stranger {
        return error(401, "unauthenticated");
    }
    json!({"id": "t", "role": "sender", "accounts": "all"})
        .to_string()
        .into_response()
}

async fn events(State(mock): State<Arc<Mock>>, headers: HeaderMap, body: Bytes) -> Response {
    let scripted = {
        let mut script = mock.script.lock();
        (!script.is_empty()).then(|| script.remove(0))
    };
    if let Some((status, code)) = scripted {
        return error(status, code);
    }
    let most = mock.most.load(Ordering::Relaxed);
    if most > 0 && body.len() > most {
        return error(413, "too_large");
    }
    let encoding = headers
        .get("content-encoding")
        .map(|value| value.to_str().unwrap().to_owned());
    let all = read_events(&body);
    mock.bodies.lock().push((encoding, body));
    let refused: Vec<Value> = all
        .iter()
        .enumerate()
        .filter(|(_, event)| event["bad"] == true)
        .map(|(index, _)| {
            json!({"index": index, "status": "refused", "code": "bad_event", "message": "it is \u{1b}bad"})
        })
        .collect();
    json!({
        "accepted": all.len() - refused.len(),
        "duplicate": 0,
        "refused": refused.len(),
        "events": refused,
    })
    .to_string()
    .into_response()
}

fn args(url: &str, paths: &[PathBuf], chunk: usize) -> IngestArgs {
    IngestArgs {
        paths: paths.to_vec(),
        account: None,
        json: true,
        concurrency: 3,
        retries: 2,
        chunk_bytes: chunk,
        connect: ConnectArgs::test(url),
    }
}

async fn ingest(url: &str, paths: &[PathBuf], chunk: usize) -> (Outcome, Value, Captured) {
    let patience = Patience {
        retries: 2,
        first: Duration::from_millis(1),
        most: Duration::from_millis(2),
    };
    let (mut out, stdout, stderr) = Out::captured();
    let outcome = run_with(args(url, paths, chunk), patience, &mut out).await;
    let text = stdout.text();
    let last = text.lines().last().unwrap_or("null");
    (outcome, serde_json::from_str(last).unwrap(), stderr)
}

fn file(dir: &tempfile::TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|i| format!("{{\"n\":{i}}}\n")).collect()
}

fn expected(range: std::ops::Range<u32>) -> Vec<String> {
    let mut all: Vec<String> = range.map(|i| format!("{{\"n\":{i}}}")).collect();
    all.sort();
    all
}

#[tokio::test]
async fn every_form_arrives_whole() {
    let (mock, url) = Mock::default().start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    gz.write_all(lines(100..200).as_bytes()).unwrap();
    file(&dir, "a.ndjson", lines(0..100));
    file(&dir, "b.json.gz", gz.finish().unwrap());
    file(&dir, "c.json", "{\"Records\": [{\"n\":200}, {\"n\":201}]}");
    file(
        &dir,
        "d.ndjson.zst",
        zstd::encode_all(lines(202..210).as_bytes(), 1).unwrap(),
    );
    file(&dir, "e.txt", "not for us");
    let (outcome, tally, stderr) = ingest(&url, &[dir.path().to_owned()], 256).await;
    assert_eq!(outcome.unwrap(), Exit::Done);
    assert_eq!(tally["accepted"], 210);
    assert_eq!(tally["files"], 4);
    assert_eq!(mock.events(), expected(0..210));
    assert!(stderr.text().contains("left out: "), "{}", stderr.text());
    let bodies = mock.bodies.lock();
    assert!(bodies.len() > 6, "the plain lines were cut");
    assert_eq!(
        bodies
            .iter()
            .filter(|(e, _)| e.as_deref() == Some("gzip"))
            .count(),
        1
    );
    assert_eq!(
        bodies
            .iter()
            .filter(|(e, _)| e.as_deref() == Some("zstd"))
            .count(),
        1
    );
}

#[tokio::test]
async fn what_is_too_large_as_it_is_goes_in_parts() {
    let mock = Mock::default();
    mock.most.store(700, Ordering::Relaxed);
    let (mock, url) = mock.start().await;
    let dir = tempfile::tempdir().unwrap();
    let events: Vec<String> = (0..500).map(|i| format!("{{\"n\":{i}}}")).collect();
    let document = format!("{{\"Records\":[{}]}}", events.join(",\n "));
    let path = file(&dir, "big.json", &document);
    let (outcome, tally, _) = ingest(&url, &[path], 600).await;
    assert_eq!(outcome.unwrap(), Exit::Done);
    assert_eq!(tally["accepted"], 500);
    assert_eq!(mock.events(), expected(0..500));
}

#[tokio::test]
async fn refusals_end_with_three_and_name_the_event() {
    let (_, url) = Mock::default().start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut text = lines(0..50);
    text.push_str("{\"bad\":true}\n");
    let path = file(&dir, "a.ndjson", text);
    // Cut small: the index has to count from the file's start all the same.
    let (outcome, tally, stderr) = ingest(&url, &[path], 64).await;
    assert_eq!(outcome.unwrap(), Exit::SomeRefused);
    assert_eq!(tally["accepted"], 50);
    assert_eq!(tally["refused"], 1);
    assert_eq!(tally["refusals"][0]["index"], 50);
    assert_eq!(tally["refusals"][0]["code"], "bad_event");
    let told = stderr.text();
    assert!(
        told.contains("a.ndjson, event 50: bad_event: it is \\u{1b}bad"),
        "{told}"
    );
}

#[tokio::test]
async fn broken_content_is_refused_and_the_rest_is_taken() {
    let (mock, url) = Mock::default().start().await;
    let dir = tempfile::tempdir().unwrap();
    let whole = zstd::encode_all(lines(0..10).as_bytes(), 1).unwrap();
    // Longer than what is sent as it is, so that it is decompressed here.
    let noise: String = (0..400_000u64)
        .map(|i| format!("{{\"x\":{}}}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let mut torn = zstd::encode_all(noise.as_bytes(), 1).unwrap();
    assert!(torn.len() > 2 << 20, "{}", torn.len());
    torn.truncate(torn.len() - 100);
    file(&dir, "a.ndjson.zst", torn);
    file(&dir, "b.ndjson.zst", whole);
    let (outcome, tally, _) = ingest(&url, &[dir.path().to_owned()], 4 << 20).await;
    assert_eq!(outcome.unwrap(), Exit::SomeRefused);
    assert_eq!(tally["refused"], 1);
    assert_eq!(tally["refusals"][0]["code"], "invalid_body");
    let message = tally["refusals"][0]["message"].as_str().unwrap();
    assert!(message.contains("cannot be decompressed"), "{message}");
    assert!(mock.events().len() >= 10);
}

#[tokio::test]
async fn what_passes_is_repeated() {
    let mock = Mock::default();
    *mock.script.lock() = vec![(503, "unavailable"), (429, "busy")];
    let (mock, url) = mock.start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.ndjson", lines(0..10));
    let (outcome, tally, stderr) = ingest(&url, &[path], 4096).await;
    assert_eq!(outcome.unwrap(), Exit::Done);
    assert_eq!(tally["accepted"], 10);
    assert_eq!(mock.events(), expected(0..10));
    assert!(stderr.text().contains("because unavailable\ntrying again"));
}

#[tokio::test]
async fn what_does_not_pass_is_given_up_and_says_that_repeating_is_safe() {
    let mock = Mock::default();
    *mock.script.lock() = vec![(503, "unavailable"); 3];
    let (mock, url) = mock.start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.ndjson", lines(0..10));
    let (outcome, tally, _) = ingest(&url, &[path], 4096).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.code(), 1);
    let told = failure.to_string();
    assert!(told.contains("because unavailable"), "{told}");
    assert!(
        told.contains("running the same command again is safe"),
        "{told}"
    );
    assert_eq!(tally["accepted"], 0);
    assert!(mock.bodies.lock().is_empty());
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_a_refusal_and_not_the_end() {
    let mock = Mock::default();
    *mock.script.lock() = vec![(400, "invalid_body")];
    let (_, url) = mock.start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.json", "[{\"n\":1}");
    let (outcome, tally, _) = ingest(&url, &[path], 4096).await;
    assert_eq!(outcome.unwrap(), Exit::SomeRefused);
    assert_eq!(tally["refusals"][0]["code"], "invalid_body");
    assert_eq!(tally["refusals"][0]["index"], Value::Null);
}

#[tokio::test]
async fn an_unknown_token_ends_it_before_anything_is_sent() {
    let mock = Mock {
        stranger: true,
        ..Mock::default()
    };
    let (mock, url) = mock.start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.ndjson", lines(0..10));
    let (outcome, _, _) = ingest(&url, &[path], 4096).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.code(), 1);
    assert!(failure.to_string().contains("CAIRN_TOKEN"), "{failure}");
    assert!(mock.bodies.lock().is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.ndjson", lines(0..10));
    let (outcome, _, _) = ingest("http://127.0.0.1:1", &[path], 4096).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.code(), 1);
    let told = failure.to_string();
    assert!(
        told.contains("cannot reach Cairn at http://127.0.0.1:"),
        "{told}"
    );
}

#[tokio::test]
async fn nothing_to_read_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    file(&dir, "notes.txt", "x");
    let (outcome, _, _) = ingest("http://127.0.0.1:1", &[dir.path().to_owned()], 64).await;
    assert_eq!(outcome.unwrap_err().code(), 1);
    let (outcome, _, _) = ingest("http://127.0.0.1:1", &[dir.path().join("none")], 64).await;
    let failure = outcome.unwrap_err();
    assert!(failure.to_string().contains("none"), "{failure}");
}

#[test]
fn the_sentence_has_the_counts() {
    let tally = Tally {
        accepted: 3324,
        elapsed_ms: 2100,
        ..Tally::default()
    };
    let (mut out, stdout, _) = Out::captured();
    tally.print(false, &mut out).unwrap();
    assert_eq!(
        stdout.text(),
        "3324 accepted, 0 duplicate, 0 refused in 2.1 s (1583 events/s)\n"
    );
}
