use cairn_schemas::columns::event_schema;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{cast, col, lit};
use datafusion::prelude::SessionContext;

use super::*;
use crate::scan::with_views;

#[test]
fn only_what_cannot_fail_is_plain() {
    let schema = with_views(&event_schema());
    let name = || col("user_name");
    let view = |s: &str| lit(ScalarValue::Utf8View(Some(s.to_owned())));
    let plain = [
        name().eq(view("a")),
        view("a").lt(name()),
        name().eq(view("a")).and(col("log_offset").gt(lit(3i64))),
        name().eq(view("a")).or(col("error_code").is_null()),
        name().in_list(vec![view("a"), view("b")], true),
        col("log_offset").between(lit(1i64), lit(2i64)),
        name().like(view("abc%")),
        name().not_like(view("abc%")),
        name().is_not_null(),
        col("late"),
        !col("late"),
    ];
    let ambiguous = [
        name().eq(col("principal_id")),
        cast(name(), DataType::Int32).eq(lit(3i32)),
        (col("log_offset") / lit(0i64)).eq(lit(1i64)),
        (col("log_offset") + lit(1i64)).eq(lit(1i64)),
        name().like(view("%abc")),
        name().like(view("a_c%")),
        name().like(view("a\\%")),
        name().ilike(view("abc%")),
        name().in_list(vec![view("a"), name()], false),
        name()
            .eq(view("a"))
            .or((lit(1i64) / col("log_offset")).eq(lit(1i64))),
        col("log_offset").eq(lit(3i32)),
        col("resources").is_not_null(),
        col("no_such").eq(view("a")),
        lit(true),
    ];
    let session = SessionContext::new();
    let df = DFSchema::try_from(Arc::clone(&schema)).unwrap();
    let physically = |e: &Expr| {
        let made = session
            .state()
            .create_physical_expr(e.clone(), &df)
            .unwrap();
        physical(&made, &schema)
    };
    for expr in &plain {
        assert!(logical(expr, &schema), "{expr}");
        assert!(physically(expr), "{expr}");
    }
    for expr in &ambiguous {
        assert!(!logical(expr, &schema), "{expr}");
    }
    for expr in ambiguous.iter().take(10) {
        assert!(!physically(expr), "{expr}");
    }
}
