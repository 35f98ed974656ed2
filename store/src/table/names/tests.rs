//! What is made is recognised, and nothing beside it.

use proptest::prelude::*;

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef";

proptest! {
    #[test]
    fn what_is_made_is_recognised(
        day in -100_000..1_000_000i32,
        first in 0..i64::MAX,
        next in 0..i64::MAX,
        commit in "[0-9a-f]{32}",
        number in 0..1000usize,
    ) {
        let name = DataName { day, span: (first, next), commit: &commit, number };
        let ours = DataNames::new("a");
        let path = ours.path(name);
        prop_assert!(ours.made(&path), "{}", path);
        prop_assert!(!DataNames::new("b").made(&path));
    }
}

#[test]
fn anything_else_is_not() {
    let ours = DataNames::new("a");
    let name = DataName {
        day: 20_000,
        span: (7, 12),
        commit: COMMIT,
        number: 0,
    };
    let path = ours.path(name);
    let table = &ours.table;
    assert_eq!(
        path,
        format!("ingest_date=2024-10-04/000000000007-000000000012-{table}-{COMMIT}-0.parquet")
    );
    let file = path.split_once('/').unwrap().1;
    let others = [
        format!("x/{path}"),
        format!("ingest_date=2024-10-04/{path}"),
        format!("ingest_date=2024-10-04/x/{file}"),
        format!("ingest_date=2024-10-4/{file}"),
        format!("ingest_date=2024-10-04/x-{file}"),
        format!("date=2024-10-04/{file}"),
        file.to_owned(),
        path.replace("000000000007", "7"),
        path.replace("-0.parquet", "-00.parquet"),
        path.replace("-0.parquet", ".parquet"),
        path.replace("-0.parquet", "-0-0.parquet"),
        path.replace("-0.parquet", "-0.csv"),
        path.replace(COMMIT, &COMMIT.to_uppercase()),
        path.replace(COMMIT, "x"),
        path.replace(&format!("-{table}"), ""),
        "ingest_date=2024-10-04/part-00000-5f0c-c000.snappy.parquet".to_owned(),
        String::new(),
    ];
    for other in others {
        assert!(!ours.made(&other), "{other}");
    }
    assert!(is_own_folder("_delta_log") && is_own_folder("ingest_date=2024-10-04"));
    for other in [
        "",
        "x",
        "ingest_date=",
        "ingest_date=2024-10-4",
        "2024-10-04",
    ] {
        assert!(!is_own_folder(other), "{other}");
    }
}
