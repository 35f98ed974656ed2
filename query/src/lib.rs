//! Sessions, account scope, tables, limits: SQL that knows no wire protocol.
//!
//! A door hands over a [`Principal`](cairn_schemas::control::Principal) and a
//! statement, and gets back a stream of rows or a [`QueryError`]. On the way:
//!
//! 1. [`question`]: the statement, its parameters, and the state asked about
//! 2. [`gate`]: one statement, read-only, of bounded size and depth
//! 3. [`catalog`]: the names that this principal may use, each resolved to one
//!    snapshot that serves the whole statement, or to a past state ([`asof`])
//! 4. [`scan`] and [`scope`]: the files and the fresh rows, and the account
//!    filter that nothing of the user's gets below, but plain comparisons
//!    ([`plain`]) that only choose what to read
//! 5. [`planner`]: the statement's plan, of those names and of the functions that all share
//! 6. [`engine`], [`places`] and [`job`]: threads, memory, time and places of its own, so that a query
//!    can neither starve intake nor outlive its deadline
//! 7. [`error`]: what went wrong, without a value of anybody's data

mod asof;
mod catalog;
mod coop;
mod describe;
mod dialect;
mod engine;
mod error;
mod exists;
mod functions;
mod gate;
mod idiom;
mod job;
mod limits;
mod meter;
mod output;
pub mod pg;
mod places;
mod plain;
mod planner;
mod prune;
mod question;
mod received;
mod scan;
mod scope;
mod session;
mod sets;
mod share;
mod standing;
mod stream;
mod system;
mod template;
mod versioned;
mod views;
mod weight;

#[cfg(test)]
mod tests;

pub use asof::{AsOf, At, time as moment};
pub use cairn_store::view::TableVersion;
pub use datafusion::common::ScalarValue;
pub use engine::{Engine, TableInfo};
pub use error::{ErrorKind, Exceeded, QueryError};
pub use functions::reference_page;
pub use limits::Limits;
pub use question::{Param, Prepared, Question};
pub use standing::Standing;
pub use stream::QueryStream;
pub use system::SystemTable;
pub use template::Template;
