//! Which moments a function turns into a value: so that a comparison of what it
//! makes is one of the moment itself.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;

use super::patterns::iso;
use super::{SECOND, utc};

/// The moments of one second, from its start to the next.
fn within_second(column: &Expr, start: i64) -> PreimageResult {
    let at = |micros| ScalarValue::TimestampMicrosecond(Some(micros), Some(Arc::from("UTC")));
    let end = start.checked_add(SECOND);
    match end.map(|end| Interval::try_new(at(start), at(end))) {
        Some(Ok(interval)) => PreimageResult::Range {
            expr: column.clone(),
            interval: Box::new(interval),
        },
        _ => PreimageResult::None,
    }
}

pub(super) fn before_unix_seconds(args: &[Expr], value: &ScalarValue) -> PreimageResult {
    match (args, value) {
        ([column], ScalarValue::Int64(Some(second))) => match second.checked_mul(SECOND) {
            Some(start) => within_second(column, start),
            None => PreimageResult::None,
        },
        _ => PreimageResult::None,
    }
}

pub(super) fn before_iso_seconds(args: &[Expr], value: &ScalarValue) -> PreimageResult {
    let ([column], Some(text)) = (args, value.try_as_str().flatten()) else {
        return PreimageResult::None;
    };
    // Only what the function could have written itself: nothing else equals
    // it, and texts are ordered otherwise than moments.
    let written = |micros| {
        let time = utc(micros)?;
        Some(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    };
    match iso(text).filter(|t| written(*t).as_deref() == Some(text)) {
        Some(start) => within_second(column, start),
        None => PreimageResult::None,
    }
}
