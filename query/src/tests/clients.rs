//! The statements that clients of PostgreSQL send, each of which has to be
//! answered with the columns that PostgreSQL answers it with.
//!
//! `data/clients.sql` holds them: `--#` tells who sent one, `--$` the value of
//! its parameter, `-->` the columns of PostgreSQL's answer, `--!` why it is
//! not answered here.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use super::fixture::{A, B, C, Organization, auditor, organization, rows};
use crate::error::ErrorKind;
use crate::pg;
use crate::question::{Param, Question};

struct Sent {
    client: &'static str,
    sql: String,
    values: Vec<&'static str>,
    columns: Option<Vec<&'static str>>,
    refused: bool,
}

impl Sent {
    fn question(&self) -> Question {
        let param = |value: &str| match value.strip_prefix('{') {
            // A list comes from the door as a list.
            Some(list) => {
                let items: Vec<&str> = list.trim_end_matches('}').split(',').collect();
                let numbers: Result<Vec<i32>, _> = items.iter().map(|n| n.parse()).collect();
                let (items, of): (Vec<ScalarValue>, _) = match numbers {
                    Ok(all) => (
                        all.into_iter().map(ScalarValue::from).collect(),
                        DataType::Int32,
                    ),
                    Err(_) => (
                        items.into_iter().map(ScalarValue::from).collect(),
                        DataType::Utf8,
                    ),
                };
                Param::Typed(ScalarValue::List(ScalarValue::new_list_nullable(
                    &items, &of,
                )))
            }
            None => Param::Text((value != "\\N").then(|| value.to_owned())),
        };
        Question {
            params: self.values.iter().map(|v| param(v)).collect(),
            settings: Some(Arc::default()),
            ..Question::from(&self.sql)
        }
    }
}

/// Whether the columns are PostgreSQL's. Of all columns of a table there may be
/// more, for newer versions have them, and a name that is there twice has a
/// number.
fn are_those(names: &[&str], columns: &[&str], sql: &str) -> bool {
    let plain = |name: &str| match name.rsplit_once(':') {
        Some((plain, n)) if n.parse::<u32>().is_ok() => plain.to_owned(),
        _ => name.to_owned(),
    };
    let names: Vec<String> = names.iter().map(|n| plain(n)).collect();
    names == columns || sql.contains('*') && columns.iter().all(|c| names.iter().any(|n| n == c))
}

fn sent(oid: &str, view: &str) -> Vec<Sent> {
    let all = include_str!("data/clients.sql");
    let mut made = vec![];
    for part in all.split("\n--# ").skip(1) {
        let (client, rest) = part.split_once('\n').unwrap();
        let (mut values, mut columns, mut refused) = (vec![], None, false);
        let mut sql = vec![];
        for line in rest.lines() {
            if let Some(v) = line.strip_prefix("--$ ") {
                values.push(v);
            } else if let Some(c) = line.strip_prefix("--> ") {
                columns = Some(c.split('|').collect());
            } else if line.starts_with("--! ") {
                refused = true;
            } else {
                sql.push(line);
            }
        }
        let sql = sql.join("\n").trim().trim_end_matches(';').to_owned();
        let sql = sql.replace("@oid", oid).replace("@view", view);
        made.push(Sent {
            client,
            sql,
            values,
            columns,
            refused,
        });
    }
    made
}

async fn oid_of(full: &Organization, name: &str) -> String {
    let sql = format!("SELECT oid FROM pg_class WHERE relname = '{name}'");
    rows(&full.engine, &auditor(&[A]), &sql).await.unwrap()[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_ask_is_answered() {
    let full = organization(&[A, B, C]).await;
    let oid = oid_of(&full, "history").await;
    let view = oid_of(&full, "queries").await;
    let mut wrong = vec![];
    for (i, sent) in sent(&oid, &view).iter().enumerate() {
        let start: String = sent.sql.chars().take(300).collect();
        let told = |what: String| format!("{i} {}: {what}\n    {start}", sent.client);
        // They never reach the engine: the door answers them.
        let first = sent.sql.split_whitespace().next().unwrap_or_default();
        if ["SET", "BEGIN", "COPY", "SHOW"].contains(&first.to_uppercase().as_str()) {
            continue;
        }
        match full.engine.query(&auditor(&[A]), sent.question()).await {
            Err(_) if sent.refused => {}
            Err(error) => wrong.push(told(error.to_string())),
            Ok(_) if sent.refused => wrong.push(told("is answered after all".to_owned())),
            Ok(stream) => {
                let schema = stream.schema();
                let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                if let Some(columns) = &sent.columns
                    && !are_those(&names, columns, &sent.sql)
                {
                    wrong.push(told(format!("{names:?} instead of {columns:?}")));
                }
                let read: Result<Vec<_>, _> =
                    futures::TryStreamExt::try_collect::<Vec<_>>(stream).await;
                if let Err(error) = read {
                    wrong.push(told(format!("while it is read: {error}")));
                }
            }
        }
    }
    let count = wrong.len();
    assert!(wrong.is_empty(), "{count} wrong:\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_tells_of_ones_own_names_only() {
    let full = organization(&[A, B, C]).await;
    let own = organization(&[A]).await;
    let ask = async |of: &Organization, sql: &str| {
        let mut told = rows(&of.engine, &auditor(&[A]), sql).await.expect(sql);
        told.sort();
        told
    };
    for table in pg::tables::all() {
        let sql = format!("SELECT * FROM pg_catalog.{}", table.name);
        let told = ask(&full, &sql).await;
        assert_eq!(told, ask(&own, &sql).await, "{}", table.name);
        let text = told.join("\n");
        // b-only and Everything are trails that A is not told of.
        for secret in ["b-only", "Everything", B, C, "part-", "cairn-store"] {
            assert!(!text.contains(secret), "{}: {secret}", table.name);
        }
    }
    for table in pg::information::names() {
        let sql = format!("SELECT * FROM information_schema.{table}");
        assert_eq!(ask(&full, &sql).await, ask(&own, &sql).await, "{table}");
    }
    let classes = ask(&full, "SELECT DISTINCT reltuples, relpages FROM pg_class").await;
    assert_eq!(classes, ["-1.0|0"]);
    // A name that is not told is not there, whatever asks for it.
    for sql in [
        "SELECT 'trails.\"b-only\"'::regclass::oid",
        "SELECT 'trails.\"Everything\"'::regclass",
    ] {
        let error = rows(&full.engine, &auditor(&[A]), sql)
            .await
            .expect_err(sql);
        assert!(matches!(error.kind, ErrorKind::Invalid { .. }), "{error:?}");
        assert!(error.message.contains("does not exist"), "{error}");
    }
    for sql in [
        "SELECT to_regclass('trails.\"b-only\"') IS NULL",
        "SELECT NOT has_table_privilege('trails.\"b-only\"', 'SELECT')",
        "SELECT obj_description('trails.\"b-only\"') IS NULL",
    ] {
        assert_eq!(ask(&full, sql).await, ["true"], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_names_lead_to_each_other() {
    let full = organization(&[A]).await;
    let ask = async |sql: &str| rows(&full.engine, &auditor(&[A]), sql).await.expect(sql);
    let oid = oid_of(&full, "history").await;
    let sql = "SELECT 'history'::regclass::oid, 'public.history'::regclass, to_regclass('history')";
    assert_eq!(ask(sql).await, [format!("{oid}|history|{oid}")]);
    assert_eq!(ask("SELECT 'pg_class'::regclass::oid").await, ["1259"]);
    assert_eq!(
        ask("SELECT 'trails.\"my-trail\"'::regclass").await,
        ["trails.\"my-trail\""]
    );
    assert_eq!(
        ask("SELECT 25::regtype, 'int4'::regtype::oid").await,
        ["text|23"]
    );
    assert_eq!(
        ask("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'history'::regclass AND attname IN ('event_time', 'flags', 'resources', 'late', 'log_offset') ORDER BY attnum").await,
        ["timestamp with time zone", "json", "boolean", "text[]", "bigint"]
    );
    let comment = ask("SELECT col_description('history'::regclass, 2), obj_description('history'::regclass, 'pg_class')").await;
    assert!(comment[0].starts_with("When it happened"), "{comment:?}");
    assert_eq!(
        ask("SELECT current_schemas(true)::text").await,
        ["[pg_catalog, public]"]
    );
    assert_eq!(
        ask("SELECT current_user, current_schema, current_database()").await,
        ["auditor|public|cairn"]
    );
    assert_eq!(
        ask("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'history'").await,
        ["cairn"]
    );
    assert_eq!(
        ask("SELECT quote_ident('a b'), quote_literal('it''s')").await,
        ["\"a b\"|'it''s'"]
    );
    // Any letter may escape, not the backslash alone.
    let escaped = "SELECT 'a_c' LIKE 'a!_c' ESCAPE '!', 'abc' LIKE 'a!_c' ESCAPE '!', \
                   'a!c' LIKE 'a!!c' ESCAPE '!', 'a\\c' LIKE 'a\\c' ESCAPE ''";
    assert_eq!(ask(escaped).await, ["true|false|true|true"]);
    for sql in [
        "SELECT 'no_such'::regclass",
        "SELECT current_setting('no.such')",
        "SELECT set_config('server_version', '16', false)",
        "SELECT * FROM generate_series(1, 1000000) AS i",
    ] {
        let error = rows(&full.engine, &auditor(&[A]), sql)
            .await
            .expect_err(sql);
        assert!(
            matches!(error.kind, ErrorKind::Invalid { .. }),
            "{sql}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_to_look_in_has_items_of_what_is_looked_for() {
    let full = organization(&[A]).await;
    let types = async |sql: &str| {
        let known = full.engine.prepare(&auditor(&[A]), sql.to_owned()).await;
        known.expect(sql).parameters
    };
    let list = |of| Some(DataType::new_list(of, true));
    assert_eq!(
        types("SELECT 1 FROM history WHERE event_name = ANY($1) AND log_offset = ANY($2)").await,
        [list(DataType::Utf8), list(DataType::Int64)]
    );
    let count = async |sql: &str, given: &str| {
        let question = Question {
            params: vec![Param::Text(Some(given.to_owned()))],
            ..Question::from(sql)
        };
        let stream = full.engine.query(&auditor(&[A]), question).await?;
        let batches: Vec<_> = futures::TryStreamExt::try_collect(stream).await?;
        Ok::<_, crate::QueryError>(batches.iter().map(|b| b.num_rows()).sum::<usize>())
    };
    let sql = "SELECT 1 FROM history WHERE account_id = ANY($1)";
    let all = format!("{{\"{A}\",x,NULL}}");
    assert_eq!(count(sql, &all).await, Ok(300));
    assert_eq!(count(sql, "{}").await, Ok(0));
    for given in [A, "{x"] {
        let error = count(sql, given).await.expect_err(given);
        assert!(error.message.contains("not a list"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_do_not_grow_without_end() {
    let full = organization(&[A]).await;
    let nested = |of: &str| {
        let calls = 24;
        format!(
            "SELECT {}{of}event_name{} FROM history",
            "quote_literal(".repeat(calls),
            ")".repeat(calls)
        )
    };
    for of in ["", "event_id || "] {
        let error = rows(&full.engine, &auditor(&[A]), &nested(of))
            .await
            .expect_err(of);
        assert!(matches!(error.kind, ErrorKind::Limit(_)), "{error:?}");
    }
}
