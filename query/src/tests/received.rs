//! `raw`, where the files hold it as an outline: the fixture's rows of every other
//! file, but for some.

use cairn_schemas::Withheld;
use cairn_schemas::control::Principal;

use super::fixture::{A, B, C, auditor, auditor_of_all, organization, rows};

async fn ask(of: &Principal, sql: &str) -> Vec<String> {
    let full = organization(&[A, B, C]).await;
    rows(&full.engine, of, sql).await.unwrap()
}

fn expected(n: i64) -> String {
    format!("{{\"eventId\": \"id-{n}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_comes_back_from_every_file() {
    let all: Vec<String> = (0..1200).map(expected).collect();
    let everyone = auditor_of_all();
    for sql in [
        "SELECT raw FROM history ORDER BY log_offset",
        "SELECT eventJson FROM cloudtrail ORDER BY eventTime",
        "SELECT raw FROM (SELECT * FROM history) h ORDER BY log_offset",
    ] {
        assert_eq!(ask(&everyone, sql).await, all, "{sql}");
    }
    let of_b: Vec<String> = (0..1200).filter(|n| n % 2 == 1).map(expected).collect();
    let sql = "SELECT raw FROM history ORDER BY event_time";
    assert_eq!(ask(&auditor(&[B]), sql).await, of_b);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_compared_as_what_was_received() {
    for (sql, wanted) in [
        (
            "SELECT event_id FROM history WHERE raw = '{\"eventId\": \"id-7\"}'",
            vec!["id-7"],
        ),
        (
            "SELECT event_id FROM history WHERE raw IN ('{\"eventId\": \"id-8\"}', 'x')",
            vec!["id-8"],
        ),
        (
            "SELECT count(*) FROM history WHERE raw LIKE '{\"eventId\": \"id-11%'",
            vec!["111"],
        ),
        (
            "SELECT count(*) FROM history WHERE raw LIKE '%-119_\"}' AND event_id >= 'id-1195'",
            vec!["5"],
        ),
        ("SELECT count(*) FROM history WHERE raw IS NULL", vec!["0"]),
        (
            "SELECT count(*) FROM history WHERE raw IS NOT NULL AND event_id <> raw",
            vec!["1200"],
        ),
        (
            "SELECT count(DISTINCT raw), min(length(raw)) FROM history",
            vec!["1200|19"],
        ),
        (
            "SELECT max(raw) FROM history",
            vec!["{\"eventId\": \"id-999\"}"],
        ),
        (
            "SELECT raw FROM history ORDER BY raw DESC LIMIT 1",
            vec!["{\"eventId\": \"id-999\"}"],
        ),
        (
            "SELECT a.raw FROM history a JOIN history b ON a.raw = b.raw WHERE b.event_id = 'id-5'",
            vec!["{\"eventId\": \"id-5\"}"],
        ),
        (
            "SELECT json_extract(raw, '$.eventId') FROM history WHERE event_id = 'id-6'",
            vec!["id-6"],
        ),
    ] {
        let got = ask(&auditor_of_all(), sql).await;
        let plain: Vec<String> = got.iter().map(|r| r.trim_matches('"').to_owned()).collect();
        let wanted: Vec<&str> = wanted.iter().map(|w| w.trim_matches('"')).collect();
        assert_eq!(plain, wanted, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outline_is_no_column_of_anybody() {
    let full = organization(&[A, B, C]).await;
    for sql in [
        "SELECT raw_outline FROM history",
        "SELECT count(*) FROM history WHERE raw_outline IS NOT NULL",
    ] {
        let error = rows(&full.engine, &auditor_of_all(), sql)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("raw_outline"), "{error}");
    }
    let masked = Principal {
        withheld: Withheld::of(["raw"]).unwrap(),
        ..auditor(&[A])
    };
    let sql = "SELECT count(raw), count(event_id) FROM history";
    assert_eq!(rows(&full.engine, &masked, sql).await.unwrap(), ["0|300"]);
}
