//! Statements that are not questions, or ask for what is not there.

use super::fixture::{A, B, C, auditor, organization, rows};
use crate::error::ErrorKind;

const REFUSED: &[&str] = &[
    "",
    ";",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE history",
    "CREATE TABLE x AS SELECT * FROM history",
    "CREATE VIEW x AS SELECT * FROM history",
    "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION 'file:///etc/passwd'",
    "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 's3://other/'",
    "CREATE SCHEMA x",
    "CREATE DATABASE x",
    "CREATE FUNCTION f() RETURNS INT RETURN 1",
    "DROP TABLE history",
    "TRUNCATE TABLE history",
    "ALTER TABLE history ADD COLUMN x INT",
    "COPY history TO '/tmp/x.csv'",
    "COPY (SELECT * FROM history) TO 'file:///tmp/x.parquet'",
    "COPY history FROM '/etc/passwd'",
    "INSERT INTO history SELECT * FROM history",
    "INSERT INTO queries VALUES ('x')",
    "UPDATE history SET account_id = '111111111111'",
    "DELETE FROM history",
    "MERGE INTO history USING events ON true WHEN MATCHED THEN DELETE",
    "WITH x AS (INSERT INTO history SELECT * FROM history RETURNING *) SELECT * FROM x",
    "SELECT * INTO x FROM history",
    "SELECT * FROM history FOR UPDATE",
    "SET datafusion.catalog.location = '/etc'",
    "SET datafusion.catalog.information_schema = true",
    "RESET datafusion.catalog.location",
    "SHOW ALL",
    "SHOW datafusion.catalog.location",
    "SHOW FUNCTIONS",
    "SHOW CREATE TABLE history",
    "SHOW DATABASES",
    "USE x",
    "BEGIN",
    "COMMIT",
    "PREPARE p AS SELECT * FROM history",
    "EXECUTE p",
    "DEALLOCATE p",
    "DECLARE c CURSOR FOR SELECT 1",
    "GRANT ALL ON history TO auditor",
    "CALL f()",
    "VACUUM",
    "ANALYZE TABLE history",
    "EXPLAIN ANALYZE SELECT * FROM history",
    "EXPLAIN VERBOSE SELECT * FROM history",
    "EXPLAIN ANALYZE VERBOSE SELECT * FROM history",
    "EXPLAIN (ANALYZE) SELECT * FROM history",
    "EXPLAIN (VERBOSE, FORMAT tree) SELECT * FROM history",
    "EXPLAIN FORMAT TREE SELECT * FROM history",
    "EXPLAIN EXPLAIN SELECT 1",
    "EXPLAIN COPY history TO '/tmp/x'",
    "EXPLAIN DELETE FROM history",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM \"/etc/passwd\"",
    "SELECT * FROM 'file:///etc/passwd'",
    "SELECT * FROM 's3://other/x.parquet'",
    "SELECT * FROM \"part-0000.parquet\"",
    "SELECT * FROM df_settings",
    "SELECT * FROM information_schema.df_settings",
    "SELECT * FROM information_schema.files",
    "SELECT * FROM \"information_schema\".\"DF_SETTINGS\"",
    "SELECT * FROM datafusion.public.history",
    "SELECT * FROM other.public.history",
    "SELECT * FROM cairn.other.history",
    "SELECT * FROM \"HISTORY\"",
    "SELECT * FROM \"public.history\"",
    "SELECT * FROM trails.missing",
    "SELECT * FROM writes",
    "SELECT * FROM generate_series(1, 1000000000)",
    "SELECT * FROM range(1, 10)",
    "SELECT generate_series(1, 1000000000)",
    "SELECT range(0, 1000000000)",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM parquet_metadata('x')",
    "SELECT * FROM metadata_cache()",
    "SELECT input_file_name() FROM history",
    "SELECT file_row_index() FROM history",
    "SELECT pg_sleep(10)",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM pg_catalog.pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_catalog.pg_statistic",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM pg_ls_dir('/')",
    "SELECT @@version",
    "SELECT current_setting('x')",
    "SELECT no_such_column FROM history",
    "SELECT * FROM history WHERE $1 = account_id",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t",
    "SELECT * FROM history TABLESAMPLE BERNOULLI (10)",
    "TABLE no_such",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_questions_of_what_is_there() {
    let full = organization(&[A, B, C]).await;
    for sql in REFUSED {
        let told = rows(&full.engine, &auditor(&[A]), sql).await;
        let error = told.expect_err(sql);
        let refused = matches!(error.kind, ErrorKind::Invalid { .. } | ErrorKind::Forbidden);
        assert!(refused, "{sql}: {error:?}");
        // No message may show what it must not, nor be longer than a sentence.
        for secret in [
            "secret-",
            B,
            "part-",
            ".parquet:",
            "cairn-store",
            "panicked",
        ] {
            let told = error.message.contains(secret) && !sql.contains(secret);
            assert!(!told, "{sql}: {error}");
        }
        assert!(error.message.len() < 600, "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_may_not_be_a_bomb() {
    let full = organization(&[A]).await;
    let parentheses = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    let list: String = (0..50_000).map(|i| format!("{i},")).collect();
    let long = format!("SELECT 1 FROM history WHERE log_offset IN ({list}0)");
    let ors = vec!["log_offset = 1"; 2000].join(" OR ");
    let ors = format!("SELECT count(*) FROM history WHERE {ors}");
    let unions = vec!["SELECT 1"; 3000].join(" UNION ALL ");
    let joins: String = (0..40).map(|i| format!(", history h{i}")).collect();
    let joins = format!("SELECT 1 FROM history h{joins}");
    let nots = format!("SELECT {} true", "NOT ".repeat(10_000));
    let subqueries = format!(
        "SELECT * FROM {}history{}",
        "(SELECT * FROM ".repeat(1000),
        ") x".repeat(1000)
    );
    for sql in [parentheses, long, ors, unions, joins, nots, subqueries] {
        let told = rows(&full.engine, &auditor(&[A]), &sql).await;
        let start: String = sql.chars().take(60).collect();
        let error = told.expect_err(&start);
        let bounded = matches!(error.kind, ErrorKind::Limit(_) | ErrorKind::Invalid { .. });
        assert!(bounded, "{start}: {error:?}");
    }
    // And the engine is none the worse for it.
    let count = rows(&full.engine, &auditor(&[A]), "SELECT count(*) FROM history").await;
    assert_eq!(count.unwrap(), ["300"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_help_and_tell_nothing() {
    let full = organization(&[A, B, C]).await;
    let ask = async |sql| rows(&full.engine, &auditor(&[B]), sql).await.unwrap_err();

    let e = ask("SELECT event_nme\nFROM history").await;
    assert_eq!(e.hint.as_deref(), Some("did you mean \"event_name\"?"));
    assert_eq!(
        e.kind,
        ErrorKind::Invalid {
            line: Some(1),
            column: Some(8)
        }
    );
    let e = ask("SELECT eventName FROM history").await;
    assert_eq!(e.hint.as_deref(), Some("did you mean \"event_name\"?"));
    let e = ask("SELECT *\nFROM histroy").await;
    assert_eq!(e.hint.as_deref(), Some("did you mean history?"));
    let e = ask("SELECT * FROM writes").await;
    assert_eq!(
        e.hint.as_deref(),
        Some("a trail's table is trails.\"writes\"")
    );
    let e = ask("SELECT *\nFROM history WHER x").await;
    assert!(
        matches!(e.kind, ErrorKind::Invalid { line: Some(2), .. }),
        "{e:?}"
    );
    let e = ask("SELECT CAST(user_name AS INT) FROM history").await;
    assert!(!e.message.contains("secret"), "{e}");
    assert!(e.hint.unwrap().contains("TRY_CAST"));
    let e = ask("SELECT 1 / length(user_agent) FROM history").await;
    assert_eq!(e.message, "division by zero");
}
