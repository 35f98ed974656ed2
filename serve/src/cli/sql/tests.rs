use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::ipc::writer::StreamWriter;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::StreamExt;
use serde_json::json;

use super::*;
use crate::cli::output::Captured;

fn arrow_answer() -> Vec<u8> {
    let names: ArrayRef = Arc::new(StringArray::from(vec![
        Some("alice"),
        None,
        Some("\u{1b}[31mmallory\n|"),
    ]));
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("user_name", names), ("n", counts)]).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

/// Sends a part and, once that is on its way, breaks the body off.
fn broken_off(part: Vec<u8>) -> Response {
    let end = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        Err(io::Error::other("the query failed"))
    };
    let stream =
        futures::stream::iter([Ok(bytes::Bytes::from(part))]).chain(futures::stream::once(end));
    Body::from_stream(stream).into_response()
}

async fn answer(headers: HeaderMap, question: String) -> Response {
    let question: serde_json::Value = serde_json::from_str(&question).unwrap();
    let accept = headers["accept"].to_str().unwrap();
    let arrow = arrow_answer();
    match (question["query"].as_str().unwrap(), accept) {
        ("SELECT good", "application/vnd.apache.arrow.stream") => arrow.into_response(),
        ("SELECT good", _) => "user_name\nalice\n".into_response(),
        ("SELECT half", "application/vnd.apache.arrow.stream") => {
            broken_off(arrow[..arrow.len() - 20].to_vec())
        }
        ("SELECT half", _) => broken_off(b"user_name\nali".to_vec()),
        // The body ends as if all were well, and is not whole all the same.
        ("SELECT unmarked", _) => arrow[..arrow.len() - 8].to_vec().into_response(),
        _ => {
            let error = json!({"error": {
                "code": "invalid_query", "message": "no column usr_name",
                "hint": "did you mean user_name?", "line": 2, "column": 3,
            }});
            (StatusCode::BAD_REQUEST, error.to_string()).into_response()
        }
    }
}

async fn serve() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/sql", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn sql(
    query: &str,
    format: Option<Format>,
    to: Option<&Path>,
) -> (Outcome, Captured, Captured) {
    let args = SqlArgs {
        detach: false,
        json: false,
        query: Some(query.to_owned()),
        answer: AnswerArgs {
            format,
            out: to.map(Path::to_owned),
            timing: false,
            pager: None,
            no_pager: false,
        },
        connect: ConnectArgs::test(&serve().await),
    };
    let (mut out, stdout, stderr) = Out::captured();
    (run(args, &mut out).await, stdout, stderr)
}

#[tokio::test]
async fn a_table_shows_hostile_values_and_nulls() {
    let (outcome, stdout, stderr) = sql("SELECT good", None, None).await;
    assert_eq!(outcome.unwrap(), Exit::Done);
    assert_eq!(
        stdout.text(),
        "\
+----------------------+---+
| user_name            | n |
+----------------------+---+
| alice                | 1 |
| NULL                 | 2 |
| \\u{1b}[31mmallory\\n| | 3 |
+----------------------+---+
"
    );
    assert!(stderr.text().starts_with("3 rows in "), "{}", stderr.text());
}

#[tokio::test]
async fn other_forms_pass_as_they_are() {
    let (outcome, stdout, _) = sql("SELECT good", Some(Format::Csv), None).await;
    outcome.unwrap();
    assert_eq!(stdout.text(), "user_name\nalice\n");
}

#[tokio::test]
async fn an_answer_cut_short_fails_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answer.csv");
    std::fs::write(&path, "from before").unwrap();
    for (query, format) in [
        ("SELECT half", Some(Format::Csv)),
        ("SELECT half", Some(Format::Table)),
        ("SELECT unmarked", Some(Format::Table)),
        ("SELECT unmarked", Some(Format::Parquet)),
    ] {
        let (outcome, _, _) = sql(query, format, Some(&path)).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.code(), 1);
        assert!(failure.to_string().contains("cut short"), "{failure}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "from before");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_file_appears_when_it_is_complete_and_its_name_tells_the_form() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answer.csv");
    let (outcome, stdout, _) = sql("SELECT good", None, Some(&path)).await;
    outcome.unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "user_name\nalice\n"
    );
    assert_eq!(stdout.text(), "");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_wrong_question_is_pointed_at() {
    let (outcome, _, _) = sql("SELECT\n\u{1b} usr_name", None, None).await;
    let told = outcome.unwrap_err().to_string();
    assert_eq!(
        told,
        "no column usr_name\n  2 | \\u{1b} usr_name\n             ^\nhint: did you mean user_name?"
    );
}

#[tokio::test]
async fn parquet_is_not_for_terminals() {
    let args = SqlArgs {
        detach: false,
        json: false,
        query: Some("SELECT good".to_owned()),
        answer: AnswerArgs {
            format: Some(Format::Parquet),
            out: None,
            timing: false,
            pager: None,
            no_pager: false,
        },
        connect: ConnectArgs::test("http://127.0.0.1:1"),
    };
    let (mut out, _, _) = Out::captured();
    out.stdout_is_terminal = true;
    assert_eq!(run(args, &mut out).await.unwrap_err().code(), 2);
}

#[test]
fn a_device_is_written_in_place() {
    let mut file = PartFile::create(Path::new("/dev/null")).unwrap();
    std::io::Write::write_all(&mut file, b"x").unwrap();
    file.finish().unwrap();
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
}
