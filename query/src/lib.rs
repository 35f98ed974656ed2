//! Sessions, account scope, tables, limits: SQL that knows no wire protocol.
//!
//! A door hands over a [`Principal`](cairn_schemas::control::Principal) and a
//! statement, and gets back a stream of rows or a [`QueryError`]. On the way:
//!
//! 1. [`gate`]: one statement, read-only, of bounded size and depth
//! 2. [`catalog`]: the names that this principal may use, each resolved to one
//!    snapshot that serves the whole statement
//! 3. [`scan`] and [`scope`]: the files and the fresh rows, and the account
//!    filter that nothing of the user's gets below, but plain comparisons
//!    ([`plain`]) that only choose what to read
//! 4. [`engine`]: threads, memory, time and places of its own, so that a query
//!    can neither starve intake nor outlive its deadline
//! 5. [`error`]: what went wrong, without a value of anybody's data

mod catalog;
mod coop;
mod describe;
mod engine;
mod error;
mod functions;
mod gate;
mod limits;
mod meter;
mod output;
mod plain;
mod prune;
mod scan;
mod scope;
mod session;
mod standing;
mod stream;
mod system;

#[cfg(test)]
mod tests;

pub use engine::Engine;
pub use error::{ErrorKind, Exceeded, QueryError};
pub use limits::Limits;
pub use standing::Standing;
pub use stream::QueryStream;
pub use system::SystemTable;
