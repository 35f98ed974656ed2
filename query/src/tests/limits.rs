//! Queries that would take more than they may.

use std::time::Duration;

use cairn_schemas::control::Principal;
use futures::{StreamExt, TryStreamExt};

use super::fixture::{A, B, C, auditor, auditor_of_all, organization_within, rows, small};
use super::holding::served;
use crate::error::{ErrorKind, Exceeded};
use crate::{Limits, Question};

const CROSS: &str = "SELECT count(*) FROM history a, history b, history c, history d, history e \
                     WHERE a.user_name || b.user_name <> c.user_name || d.user_name || e.user_name";

#[tokio::test(flavor = "multi_thread")]
async fn a_cross_join_ends_at_its_deadline_and_others_go_on() {
    // Only the long one has little time: a busy machine may be slow for others.
    let limits = Limits {
        timeout: Duration::from_secs(600),
        concurrent: 2,
        ..small()
    };
    let full = organization_within(&[A, B, C], limits).await;
    for sql in [
        CROSS,
        "SELECT count(*) FROM history a CROSS JOIN history b CROSS JOIN history c CROSS JOIN history d",
        "SELECT count(*) FROM history a JOIN history b ON a.log_offset < b.log_offset JOIN history c ON b.log_offset < c.log_offset AND a.event_id > c.event_id || 'x'",
    ] {
        let principal = auditor(&[A]);
        let mut question = Question::from(sql);
        question.timeout = Some(Duration::from_secs(2));
        let long = async {
            let stream = full.engine.query(&principal, question).await?;
            stream.try_collect::<Vec<_>>().await
        };
        let others = async {
            let mut served = 0;
            for _ in 0..5 {
                let sql = "SELECT count(*) FROM history";
                served += usize::from(rows(&full.engine, &auditor(&[B]), sql).await.is_ok());
            }
            served
        };
        let (long, served) = tokio::join!(long, others);
        assert_eq!(
            long.unwrap_err().kind,
            ErrorKind::Limit(Exceeded::Time),
            "{sql}"
        );
        assert_eq!(served, 5, "{sql}");
    }
    // Every place is free again: the queries have really stopped.
    let (a, b) = (auditor(&[A]), auditor(&[B]));
    let (a, b) = tokio::join!(
        rows(&full.engine, &a, "SELECT count(*) FROM history"),
        rows(&full.engine, &b, "SELECT count(*) FROM history")
    );
    assert_eq!(
        (a.unwrap(), b.unwrap()),
        (vec!["300".into()], vec!["600".into()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_answer_gives_its_place_back() {
    let limits = Limits {
        concurrent: 1,
        timeout: Duration::from_secs(20),
        ..small()
    };
    let full = organization_within(&[A], limits).await;
    let mut stream = full
        .engine
        .query(
            &auditor(&[A]),
            "SELECT a.event_id FROM history a, history b, history c",
        )
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    assert!(stream.rows() > 0);
    drop(stream);
    let count = rows(&full.engine, &auditor(&[A]), "SELECT count(*) FROM history").await;
    assert_eq!(count.unwrap(), ["300"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_loses_the_right_gets_no_further_batch() {
    let full = organization_within(&[A], small()).await;
    // Some eleven batches, of which no more than a few wait.
    let long = "SELECT a.event_id FROM history a CROSS JOIN history b";
    let of_a = auditor(&[A]);
    let ask = |sql| full.engine.query(&of_a, sql);
    let (mut read_on, mut unread) = (ask(long).await.unwrap(), ask(long).await.unwrap());
    // An answer that is over but for its end: that is not told either.
    let mut at_its_end = ask("SELECT 1").await.unwrap();
    assert!(read_on.next().await.unwrap().unwrap().num_rows() > 0);
    assert_eq!(at_its_end.next().await.unwrap().unwrap().num_rows(), 1);
    full.register.revoke("auditor");
    for stream in [&mut read_on, &mut unread, &mut at_its_end] {
        let refused = stream.next().await.unwrap().unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Withdrawn);
        assert_eq!(refused.code(), "access_withdrawn");
        assert!(stream.next().await.is_none(), "something follows a refusal");
    }
    let others = Principal {
        id: "another".to_owned(),
        ..auditor(&[A])
    };
    let count = rows(&full.engine, &others, "SELECT count(*) FROM history").await;
    assert_eq!(count.unwrap(), ["300"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_bytes_memory_and_waiting_are_bounded() {
    let limits = Limits {
        max_rows: Some(100),
        ..small()
    };
    let full = organization_within(&[A], limits).await;
    let told = rows(&full.engine, &auditor(&[A]), "SELECT event_id FROM history").await;
    assert_eq!(told.unwrap_err().kind, ErrorKind::Limit(Exceeded::Rows));
    let told = rows(
        &full.engine,
        &auditor(&[A]),
        "SELECT event_id FROM history LIMIT 100",
    )
    .await;
    assert_eq!(told.unwrap().len(), 100);

    let limits = Limits {
        max_bytes: Some(2000),
        ..small()
    };
    let full = organization_within(&[A], limits).await;
    let told = rows(&full.engine, &auditor(&[A]), "SELECT * FROM history").await;
    assert_eq!(told.unwrap_err().kind, ErrorKind::Limit(Exceeded::Bytes));

    let limits = Limits {
        memory: 1 << 20,
        memory_per_query: 1 << 20,
        ..small()
    };
    let full = organization_within(&[A, B, C], limits).await;
    let sql = "SELECT a.raw, b.raw, count(*) FROM history a, history b GROUP BY 1, 2 ORDER BY 3";
    let told = rows(&full.engine, &auditor(&[B]), sql).await;
    assert_eq!(told.unwrap_err().kind, ErrorKind::Limit(Exceeded::Memory));

    let limits = Limits {
        concurrent: 1,
        queue: 0,
        ..small()
    };
    let full = organization_within(&[A], limits).await;
    let sql = "SELECT a.* FROM history a, history b, history c";
    let held = full.engine.query(&auditor(&[A]), sql).await.unwrap();
    let told = rows(&full.engine, &auditor(&[A]), "SELECT 1").await;
    assert_eq!(told.unwrap_err().kind, ErrorKind::Limit(Exceeded::Busy));
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_lists_of_any_size_are_not_made() {
    let full = organization_within(&[A], small()).await;
    for sql in [
        "SELECT repeat('x', 2000000000)",
        "SELECT repeat(user_name, 100000000) FROM history",
        "SELECT lpad('x', 2000000000, 'y')",
        "SELECT rpad(user_name, 2000000000) FROM history",
        "SELECT array_repeat(1, 2000000000)",
        "SELECT array_resize([1], 2000000000, 0)",
        "SELECT replace(repeat('a', 10000), 'a', repeat('b', 10000))",
        "SELECT regexp_replace(repeat('a', 10000), 'a', repeat('b', 10000), 'g')",
        "SELECT count(levenshtein(repeat(raw, 2000), repeat(raw, 2000))) FROM history",
    ] {
        let told = rows(&full.engine, &auditor(&[A]), sql).await;
        let kind = told.map_err(|e| e.kind);
        assert_eq!(kind, Err(ErrorKind::Limit(Exceeded::Memory)), "{sql}");
    }
    // What doubles step by step is seen before anything is made.
    let steps = "WITH a AS (SELECT user_name || repeat('x', 1000) x FROM history), b AS (SELECT x || x || x || x || x || x || x || x AS x FROM a), \
         c AS (SELECT x || x || x || x || x || x || x || x AS x FROM b), d AS (SELECT x || x || x || x || x || x || x || x AS x FROM c), \
         e AS (SELECT x || x || x || x || x || x || x || x AS x FROM d), \
         f AS (SELECT x || x || x || x || x || x || x || x AS x FROM e) SELECT max(length(x || x)) FROM f";
    let told = rows(&full.engine, &auditor(&[A]), steps).await;
    let kind = told.map_err(|e| e.kind);
    assert_eq!(kind, Err(ErrorKind::Limit(Exceeded::Statement)));
    let fine =
        "SELECT max(length(repeat(user_name, 10))), max(length(user_name || 'xyz')) FROM history";
    assert_eq!(
        rows(&full.engine, &auditor(&[A]), fine).await.unwrap(),
        ["10|4"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_are_not_made_at_a_time() {
    let full = organization_within(&[A], small()).await;
    let columns = |one: &str, n: usize| {
        let all: Vec<String> = (0..n).map(|i| one.replace('#', &i.to_string())).collect();
        format!("SELECT {} FROM history", all.join(", "))
    };
    let half: Vec<String> = (0..40).map(|i| format!("raw || '{i}' AS a{i}")).collect();
    let half = format!("SELECT {} FROM history", half.join(", "));
    for sql in [
        columns("repeat(raw,30) AS a#", 1000),
        columns("repeat(raw,30) AS a#", 65),
        columns("lpad(raw,#) AS a#", 65),
        columns("strpos(raw, '#') AS a#", 257),
        format!(
            "SELECT count(*) FROM history WHERE raw IN ('a'{})",
            ", repeat(raw, 2)".repeat(65)
        ),
        // Not by way of a subquery, a CTE or a UNION either.
        format!("SELECT * FROM ({half}) a, ({half}) b"),
        format!("WITH x AS ({half}) SELECT a.a1, b.a2 FROM x a JOIN x b ON a.a0 = b.a0"),
        format!("{half} UNION ALL {half}"),
        format!("SELECT (SELECT max(a0) FROM ({half}) y) FROM ({half}) z"),
    ] {
        let told = rows(&full.engine, &auditor(&[A]), &sql).await;
        let kind = told.map_err(|e| e.kind);
        let start: String = sql.chars().take(60).collect();
        let refused = Err(ErrorKind::Limit(Exceeded::Statement));
        assert_eq!(kind, refused, "{start}");
    }
    for sql in [
        columns("repeat(raw,30) AS a#", 64),
        columns("strpos(raw, '#') AS a#", 256),
    ] {
        let told = rows(&full.engine, &auditor(&[A]), &sql).await;
        assert_eq!(told.unwrap().len(), 300);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_calls_make_counts_as_the_querys_memory() {
    let limits = Limits {
        memory: 16 << 20,
        memory_per_query: 16 << 20,
        ..small()
    };
    let full = organization_within(&[A, B, C], limits).await;
    let of = |call: &str, n: usize| {
        let all: Vec<String> = (0..n).map(|i| call.replace('#', &i.to_string())).collect();
        format!("SELECT {} FROM history", all.join(", "))
    };
    let all = auditor_of_all();
    // Each call alone stays below its own bound.
    for (call, few, many) in [
        ("length(repeat(raw || '#', 150)) AS a#", 1, 30),
        ("length(concat(raw, '#', repeat('x', 5000))) AS a#", 1, 30),
        ("length(lpad(raw, 2000 + #)) AS a#", 1, 60),
        // Nor is it the longest texts alone that are counted.
        ("length(upper(repeat(raw, 60 + #))) AS a#", 1, 30),
    ] {
        let told = served(&full, &of(call, few)).await;
        assert_eq!(told.len(), 1200, "{call}");
        let told = rows(&full.engine, &all, &of(call, many)).await;
        let kind = told.map_err(|e| e.kind);
        assert_eq!(kind, Err(ErrorKind::Limit(Exceeded::Memory)), "{call}");
    }
    // What a query took is given back with it.
    let told = served(&full, &of("length(upper(raw)) AS a#", 60)).await;
    assert_eq!(told.len(), 1200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_that_is_not_met_does_not_refuse() {
    let full = organization_within(&[A], small()).await;
    // If each letter of the 300 texts were replaced, it would be 75 MB.
    let sql = "SELECT max(length(regexp_replace(repeat(raw, 100), 'eventId', repeat('b', 120), 'g'))), \
               max(length(replace(repeat(raw, 100), 'eventId', repeat('b', 120)))), count(*) FROM history";
    let longest = r#"{"eventId": "id-1196"}"#.len() * 100 + 100 * (120 - "eventId".len());
    assert_eq!(
        rows(&full.engine, &auditor(&[A]), sql).await.unwrap(),
        [format!("{longest}|{longest}|300")]
    );
    // Each row by itself is little; those of one file together are too much.
    let full = organization_within(&[A, B, C], small()).await;
    let sql = "SELECT count(replace(repeat(raw, 800), 'e', repeat('b', 400))) FROM history";
    let told = rows(&full.engine, &auditor_of_all(), sql).await;
    let kind = told.map_err(|e| e.kind);
    assert_eq!(kind, Err(ErrorKind::Limit(Exceeded::Memory)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_may_be_dropped_while_it_works() {
    let full = organization_within(&[A], small()).await;
    let stream = full.engine.query(&auditor(&[A]), CROSS).await.unwrap();
    drop(full);
    let told: Result<Vec<_>, _> = stream.try_collect().await;
    assert!(told.is_err(), "half an answer passes for a whole one");
}
