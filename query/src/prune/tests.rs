use cairn_schemas::Partition;
use cairn_schemas::columns::event_schema;
use cairn_store::view::OffsetRange;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::prelude::SessionContext;
use object_store::path::Path;

use super::*;
use crate::scan::with_views;

fn file(hour: i64, account: Option<&str>) -> DataFile {
    let time = |h: i64| Micros(h * 3_600_000_000);
    DataFile {
        path: Path::from(format!("{hour}")),
        size: 1,
        rows: 100,
        ingest_date: i32::try_from(hour / 24).unwrap(),
        event_time: Some((time(hour), time(hour + 1))),
        ingest_time: None,
        offsets: vec![OffsetRange {
            partition: Partition::embedded(),
            first: hour * 100,
            next: hour * 100 + 100,
        }],
        accounts: account.map(|a| Arc::new([AccountId::new(a).unwrap()].into())),
    }
}

fn kept(predicate: Expr) -> Vec<String> {
    let files: Vec<DataFile> = (0..48)
        .map(|h| {
            file(
                h,
                [None, Some("111111111111"), Some("222222222222")][(h % 3) as usize],
            )
        })
        .collect();
    let schema = with_views(&event_schema());
    let df = DFSchema::try_from(Arc::clone(&schema)).unwrap();
    let session = SessionContext::new();
    let predicate = session
        .state()
        .create_physical_expr(predicate, &df)
        .unwrap();
    prune(files.iter().collect(), Some(predicate), &schema)
        .into_iter()
        .map(|f| f.path.to_string())
        .collect()
}

fn time(hour: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(
        Some(hour * 3_600_000_000 + 1),
        Some(Arc::from("UTC")),
    ))
}

#[test]
fn files_are_left_out_by_time_day_offset_and_account() {
    assert_eq!(kept(col("event_time").eq(time(5))), ["5"]);
    assert_eq!(kept(col("event_time").gt(time(46))), ["46", "47"]);
    assert_eq!(
        kept(col("ingest_date").gt_eq(lit(ScalarValue::Date32(Some(1))))).len(),
        24
    );
    assert_eq!(kept(col("log_offset").eq(lit(4700i64))), ["47"]);
    let account = |a: &str| lit(ScalarValue::Utf8View(Some(a.to_owned())));
    let of = |a: &str| kept(col("account_id").eq(account(a))).len();
    // Files of which it is not known whose rows they hold always stay.
    assert_eq!(of("111111111111"), 32);
    assert_eq!(of("999999999999"), 16);
    // Nothing is known of these.
    assert_eq!(kept(col("user_name").eq(account("x"))).len(), 48);
    let either = col("user_name")
        .eq(account("x"))
        .or(col("event_time").eq(time(5)));
    assert_eq!(kept(either).len(), 48);
    let both = col("user_name")
        .eq(account("x"))
        .and(col("event_time").eq(time(5)));
    assert_eq!(kept(both), ["5"]);
}
