//! The functions that a statement may call: the engine's own, less those that
//! tell of files and settings, or make rows and texts of any size from nothing.

use std::sync::Arc;

use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::ScalarUDF;

/// Not offered, and why.
const LEFT_OUT: &[&str] = &[
    // Which engine this is helps nobody but an attacker.
    "version",
    // They tell of files.
    "input_file_name",
    "file_row_index",
    // Lists of any length from two numbers, outside the memory pool.
    "range",
    "generate_series",
    "gen_series",
];

/// Every scalar function on offer.
pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    SessionStateDefaults::default_scalar_functions()
        .into_iter()
        .filter(|f| !LEFT_OUT.contains(&f.name()))
        .collect()
}
