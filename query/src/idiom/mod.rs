//! Questions as auditors have them: PostgreSQL's SQL, and what CloudTrail Lake
//! and ActionTrail's log service take beyond it.
//!
//! A text becomes what the engine's own parser reads ([`mod@tokens`]), and what it
//! read becomes what the engine's planner knows ([`mod@rewrite`], [`mod@unnest`]);
//! a search before a bar becomes a table ([`mod@search`]).
//! Nothing here looks at data, or knows whose question it is.

mod calls;
mod names;
mod rewrite;
mod search;
mod tokens;
mod unnest;

use std::collections::VecDeque;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::tokenizer::{TokenWithSpan, Tokenizer};

pub(crate) use names::skipped;
pub(crate) use rewrite::rewrite;
pub(crate) use search::{Search, split};
pub(crate) use unnest::Beside;

use crate::dialect::Auditors;
use crate::error::{QueryError, end_of, parse_error};
use crate::session::DEPTH;

/// The tokens of a statement, with what is not PostgreSQL's in its words.
pub(crate) fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, QueryError> {
    let sql = names::without_ids(sql);
    let tokens = Tokenizer::new(&Auditors, &sql)
        .tokenize_with_location()
        .map_err(|e| parse_error(&e.to_string()))?;
    tokens::plain(tokens)
}

/// The statements that the tokens make.
pub(crate) fn statements(tokens: Vec<TokenWithSpan>) -> Result<VecDeque<Statement>, QueryError> {
    let end = end_of(&tokens);
    DFParserBuilder::new(tokens)
        .with_dialect(&Auditors)
        .with_recursion_limit(DEPTH)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|e| parse_error(&e.find_root().strip_backtrace()).at_end(end))
}
