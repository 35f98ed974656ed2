//! What a statement costs before it runs. No claims, only figures: run it with
//! `cargo test -p cairn-query --lib cost -- --ignored --nocapture`.

use tokio::time::Instant;

use super::fixture::*;

/// How often each statement is asked.
const ROUNDS: u32 = 300;

const STATEMENTS: &[(&str, &str)] = &[
    ("nothing", "SELECT 1"),
    (
        "a driver's question",
        "SELECT current_schema(), version(), current_setting('TimeZone')",
    ),
    (
        "a count",
        "SELECT event_name, count(*) FROM history WHERE user_name = 'x' GROUP BY 1",
    ),
    (
        "a view",
        "SELECT eventName, count(*) FROM cloudtrail \
         WHERE userIdentity.userName = 'x' AND eventTime > '2026-11-20' GROUP BY 1",
    ),
];

#[tokio::test]
#[ignore = "a measurement"]
async fn of_a_statement_before_it_runs() {
    let o = organization_of(200, &[A, B, C], &[], small()).await;
    let principal = auditor(&[A]);
    for (name, sql) in STATEMENTS {
        o.engine.prepare(&principal, *sql).await.unwrap();
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            o.engine.prepare(&principal, *sql).await.unwrap();
        }
        println!("{name}: {:?} to prepare", begun.elapsed() / ROUNDS);
    }
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        o.engine.tables(&principal).await;
    }
    println!("the names: {:?}", begun.elapsed() / ROUNDS);
}
