use arrow::datatypes::TimeUnit;
use futures::TryStreamExt;

use super::*;
use crate::error::ErrorKind;
use crate::tests::fixture::{A, B, auditor, organization};

fn text(value: &str) -> Param {
    Param::Text(Some(value.to_owned()))
}

fn with(sql: &str, params: Vec<Param>) -> Question {
    Question {
        params,
        ..sql.into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_stand_for_values_of_the_type_that_is_wanted() {
    let full = organization(&[A, B]).await;
    let of_a = auditor(&[A]);
    let count = async |sql: &str, params: Vec<Param>| {
        let stream = full.engine.query(&of_a, with(sql, params)).await?;
        let rows: Vec<_> = stream.try_collect().await?;
        Ok::<usize, QueryError>(rows.iter().map(|b| b.num_rows()).sum())
    };
    let sql = "SELECT event_id FROM history WHERE event_time < $1 AND log_offset >= $2 AND event_id <> $3 LIMIT $4";
    let at = text("2026-11-20T01:40:00Z");
    let params = vec![at.clone(), text("4"), text("id-8"), text("7")];
    assert_eq!(count(sql, params).await.unwrap(), 7);
    let typed = ScalarValue::Int32(Some(4)).into();
    let params = vec![at.clone(), typed, Param::Text(None), text("7")];
    // Nothing is unlike null.
    assert_eq!(count(sql, params).await.unwrap(), 0);
    // The scope is not theirs to widen.
    let other = "SELECT 1 FROM history WHERE account_id = $1";
    assert_eq!(count(other, vec![text(B)]).await.unwrap(), 0);
    assert_eq!(count(other, vec![text(A)]).await.unwrap(), 300);
    for (sql, params) in [
        (sql, vec![]),
        (sql, vec![text("1"); 5]),
        (
            sql,
            vec![text("yesterday"), text("4"), text("x"), text("7")],
        ),
        ("SELECT $0", vec![text("1")]),
        ("SELECT $70000", vec![text("1")]),
        ("SELECT 1", vec![text("1")]),
        ("SHOW TABLES", vec![text("1")]),
    ] {
        let error = count(sql, params).await.unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::Invalid { .. }),
            "{sql}: {error}"
        );
        assert!(!error.message.contains("yesterday"), "{error}");
    }
    let long = text(&"x".repeat(2 << 20));
    let error = count("SELECT $1", vec![long]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit(Exceeded::Statement));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_known_before_it_is_asked() {
    let full = organization(&[A, B]).await;
    let of_a = auditor(&[A]);
    let sql = "SELECT event_id, count(*) AS n FROM history WHERE event_time > $1 AND mfa = $3 \
               AND (user_name = $2 OR lower(event_name) = $2) GROUP BY 1 LIMIT $4";
    let known = full.engine.prepare(&of_a, sql).await.unwrap();
    let wanted = [
        Some(DataType::Timestamp(
            TimeUnit::Microsecond,
            Some("UTC".into()),
        )),
        Some(DataType::Utf8),
        Some(DataType::Boolean),
        Some(DataType::Int64),
    ];
    assert_eq!(known.parameters, wanted);
    assert_eq!(known.tables, ["history"]);
    assert_eq!(
        full.store.take_read(),
        Default::default(),
        "a file was opened"
    );
    let asked = with(
        sql,
        vec![text("2026-01-01"), text("x"), text("true"), text("1")],
    );
    let stream = full.engine.query(&of_a, asked).await.unwrap();
    assert_eq!(known.schema.fields().len(), 2);
    for (known, made) in known.schema.fields().iter().zip(stream.schema().fields()) {
        assert_eq!(known.name(), made.name());
        assert_eq!(known.data_type(), made.data_type());
    }
    // Nothing says what this one is.
    let open = full.engine.prepare(&of_a, "SELECT $1").await.unwrap();
    assert_eq!(open.parameters, [None]);
    for sql in ["SHOW TABLES", "DESCRIBE history", "EXPLAIN SELECT 1"] {
        let known = full.engine.prepare(&of_a, sql).await.unwrap();
        let made = full.engine.query(&of_a, sql).await.unwrap();
        assert_eq!(known.schema, made.schema(), "{sql}");
    }
    for sql in [
        "SELECT nothing FROM history",
        "DROP TABLE history",
        "SELECT 1; SELECT 2",
    ] {
        assert!(full.engine.prepare(&of_a, sql).await.is_err(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_may_ask_for_less_than_the_engine_allows() {
    let full = organization(&[A, B]).await;
    let of_a = auditor(&[A]);
    let ask = async |question: Question| {
        let stream = full.engine.query(&of_a, question).await?;
        stream.try_collect::<Vec<_>>().await
    };
    let all = Question::from("SELECT event_id FROM history");
    let most = |max_rows| Question {
        max_rows: Some(max_rows),
        ..all.clone()
    };
    assert!(ask(most(300)).await.is_ok());
    let error = ask(most(299)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit(Exceeded::Rows));
    let listed = Question {
        max_rows: Some(1),
        ..Question::from("SHOW TABLES")
    };
    let error = ask(listed).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit(Exceeded::Rows));
    let cross = "SELECT count(*) FROM history a, history b, history c, history d WHERE a.raw < b.raw || c.raw || d.raw";
    let hasty = Question {
        timeout: Some(Duration::from_millis(50)),
        ..cross.into()
    };
    let error = ask(hasty).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit(Exceeded::Time));
    let small = Question {
        memory: Some(64 << 10),
        ..Question::from("SELECT raw, count(*) FROM history GROUP BY 1 ORDER BY 2")
    };
    let error = ask(small).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit(Exceeded::Memory));
}
