//! What PostgreSQL's clients ask a server besides questions: `pg_catalog`,
//! `information_schema`, the functions that go with them, and settings.
//!
//! All of it is made of the principal's own [`Names`](crate::catalog::Names),
//! for each statement anew: whoever may not know of a table finds no trace of
//! it here either, and nobody finds a count, a size, a file or another
//! principal. It is open to every door, for it tells no more than
//! `SHOW TABLES` and `DESCRIBE` do.
//!
//! The statements that clients send are PostgreSQL's in more than their
//! tables. What the parser or the engine does not know of them, [`rewrite`]
//! puts into other words before the gate looks at the statement, so that the
//! gate judges what is run.

mod call;
pub(crate) mod content;
pub(crate) mod functions;
pub(crate) mod information;
pub(crate) mod known;
pub(crate) mod lists;
pub(crate) mod rewrite;
pub(crate) mod settings;
pub(crate) mod tables;
pub(crate) mod types;

pub use rewrite::parameters::declared as declared_parameters;
pub use settings::{SERVER_VERSION, SettingError, Settings};

/// UTF8's number among PostgreSQL's encodings.
const SERVER_ENCODING: i32 = 6;

/// The function that a cast from a name to an object's number becomes.
const REG_IN: &str = "cairn_reg_in";
/// The function that a cast from an object's number to its name becomes.
const REG_OUT: &str = "cairn_reg_out";
/// The function that `generate_series` becomes where it stands for rows.
const SERIES: &str = "cairn_series";
/// The function that makes a pattern with any escape one with a backslash.
const PATTERN: &str = "cairn_like_pattern";
