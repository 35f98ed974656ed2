//! Errors that a person can act on, and that never hold a value of the data.
//!
//! While a statement is planned nothing but its own text has been looked at,
//! so the engine's words may be passed on. Once it runs, an error's text may
//! quote a cell ("cannot cast string 'alice' to Int64"), so it is replaced by
//! the kind of thing that went wrong.

mod words;
mod written;

use arrow::error::ArrowError;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::error::DataFusionError;

pub(crate) use written::{Written, end_of};

/// Which limit a query met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exceeded {
    /// It ran, or waited for its rows to be taken, for too long.
    Time,
    /// It needed more memory than there is for it.
    Memory,
    /// It needed more temporary disk than there is for it.
    Spill,
    /// It made more rows than allowed.
    Rows,
    /// It made more bytes than allowed.
    Bytes,
    /// Its text is too long or nests too deep.
    Statement,
    /// Too many other queries are running and waiting.
    Busy,
}

/// Who has to do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The statement is wrong: its author has to change it.
    Invalid {
        /// The line of the statement, from 1, where it is known.
        line: Option<u64>,
        /// The column of that line, from 1.
        column: Option<u64>,
    },
    /// The statement is not a question: no statement here changes anything.
    Forbidden,
    /// The query met a limit.
    Limit(Exceeded),
    /// Whoever asked lost the right to the rows before the answer's end.
    Withdrawn,
    /// Something it needs cannot be read now: the operator has to look.
    Unavailable,
    /// A fault of Cairn.
    Internal,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// Who has to do what.
    pub kind: ErrorKind,
    /// One sentence, with no value of anybody's data.
    pub message: String,
    /// What to try instead.
    pub hint: Option<String>,
}

impl QueryError {
    /// A statement that cannot be answered as it stands.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Invalid {
                line: None,
                column: None,
            },
            message: message.into(),
            hint: None,
        }
    }

    /// A statement that is not a question.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Forbidden,
            message: message.into(),
            hint: Some(
                "use SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES, SHOW COLUMNS or DESCRIBE".into(),
            ),
        }
    }

    /// A limit was met.
    pub fn limit(which: Exceeded, message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Limit(which),
            message: message.into(),
            hint: None,
        }
    }

    /// Something cannot be read now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            message: message.into(),
            hint: None,
        }
    }

    /// What is told in place of the next batch to whoever lost the right to it.
    pub fn withdrawn() -> Self {
        Self {
            kind: ErrorKind::Withdrawn,
            message: "the token was revoked, or its accounts were narrowed, while the query ran"
                .into(),
            hint: Some(
                "what came before is incomplete; ask again with a token that is valid".into(),
            ),
        }
    }

    /// A fault of Cairn; the log knows more than the caller.
    pub fn internal(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Internal,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a hint.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a place in the statement.
    pub fn at(mut self, line: u64, column: u64) -> Self {
        if line > 0
            && let ErrorKind::Invalid { line: l, column: c } = &mut self.kind
        {
            *l = Some(line);
            *c = Some(column);
        }
        self
    }

    /// A stable code, for metrics and machine-readable answers.
    pub fn code(&self) -> &'static str {
        match self.kind {
            ErrorKind::Invalid { .. } => "invalid_query",
            ErrorKind::Forbidden => "forbidden_statement",
            ErrorKind::Limit(Exceeded::Time) => "query_timeout",
            ErrorKind::Limit(Exceeded::Memory) => "query_memory",
            ErrorKind::Limit(Exceeded::Spill) => "query_spill",
            ErrorKind::Limit(Exceeded::Rows) => "query_rows",
            ErrorKind::Limit(Exceeded::Bytes) => "query_bytes",
            ErrorKind::Limit(Exceeded::Statement) => "query_too_complex",
            ErrorKind::Limit(Exceeded::Busy) => "busy",
            ErrorKind::Withdrawn => "access_withdrawn",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Internal => "internal",
        }
    }

    /// What went wrong before any row was read, with a statement that nobody
    /// wrote, or nothing to do with its words.
    pub(crate) fn planning(error: &DataFusionError) -> Self {
        Self::planned(error, &Written::default())
    }

    /// What went wrong before any row was read, in a statement's own words.
    pub(crate) fn planned(error: &DataFusionError, written: &Written) -> Self {
        if let Some(own) = own(error) {
            return own;
        }
        let span = error.diagnostic().and_then(|d| d.span);
        let place = span.map(|span| (span.start.line, span.start.column));
        let planned = match error.find_root() {
            DataFusionError::SQL(parser, _) => return parse_error(&parser.to_string()),
            DataFusionError::SchemaError(schema, _) => words::of_schema(schema, written, place),
            DataFusionError::Plan(text) | DataFusionError::Configuration(text) => {
                words::of_plan(text, written)
            }
            DataFusionError::NotImplemented(text) => Self::invalid(format!(
                "not supported: {}",
                first_line(&words::stripped(text))
            )),
            // Constants are worked out while planning, and fail as rows do.
            root => {
                let literal = words::of_literal(root, written);
                return literal.unwrap_or_else(|| Self::running(error));
            }
        };
        match place {
            Some((line, column)) => planned.at(line, column),
            None => planned,
        }
    }

    /// What went wrong while rows were read. Never passes the text on.
    pub(crate) fn running(error: &DataFusionError) -> Self {
        if let Some(own) = own(error) {
            return own;
        }
        match error.find_root() {
            DataFusionError::ArrowError(arrow, _) => arrow_error(arrow),
            DataFusionError::IoError(io) if is_spill(io) => spill(),
            DataFusionError::ResourcesExhausted(text) if text.contains("disk") => spill(),
            DataFusionError::ResourcesExhausted(_) => Self::limit(
                Exceeded::Memory,
                "the query needs more memory than it may use",
            )
            .with_hint("ask for fewer rows or columns, or narrow the time range"),
            DataFusionError::ParquetError(_)
            | DataFusionError::ObjectStore(_)
            | DataFusionError::IoError(_) => {
                tracing::error!(error = %error.strip_backtrace(), "query: a file cannot be read");
                Self::unavailable("a file of the table cannot be read now; try again")
            }
            DataFusionError::Execution(_)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::NotImplemented(_) => {
                Self::invalid("an expression of the query failed on a value that it met")
                    .with_hint("TRY_CAST gives null where CAST fails; NULLIF guards a divisor")
            }
            _ => {
                tracing::error!(error = %error.strip_backtrace(), "query: internal error");
                Self::internal("the query failed inside; the server's log says more")
            }
        }
    }
}

fn spill() -> QueryError {
    QueryError::limit(
        Exceeded::Spill,
        "the query needs more temporary disk than there is for queries",
    )
    .with_hint(
        "ask for fewer rows or columns, or narrow the time range; an operator can raise query.spill_bytes and what a query or a principal may take of it",
    )
}

/// What a temporary file says that would take more than its query may.
pub(crate) const NO_SPILL_LEFT: &str = "no space left during the spilling process";

/// Whether temporary files met their quota or a full disk: the engine tells
/// both as errors of a write, and nothing else of a query writes.
fn is_spill(error: &std::io::Error) -> bool {
    let text = error.to_string();
    error.kind() == std::io::ErrorKind::StorageFull
        || text.contains(NO_SPILL_LEFT)
        || text.contains("space during the spilling process")
        || text.contains("No space left on device")
}

/// One of our own, however deep it was wrapped.
fn own(error: &DataFusionError) -> Option<QueryError> {
    match error {
        DataFusionError::External(e) => match e.downcast_ref::<QueryError>() {
            Some(own) => Some(own.clone()),
            None => e.downcast_ref::<DataFusionError>().and_then(own),
        },
        DataFusionError::ArrowError(e, _) => match e.as_ref() {
            ArrowError::ExternalError(e) => match e.downcast_ref::<QueryError>() {
                Some(own) => Some(own.clone()),
                None => e.downcast_ref::<DataFusionError>().and_then(own),
            },
            _ => None,
        },
        DataFusionError::Context(_, e) | DataFusionError::Diagnostic(_, e) => own(e),
        DataFusionError::Shared(e) => own(e),
        DataFusionError::Collection(all) => all.iter().find_map(own),
        _ => None,
    }
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

fn arrow_error(error: &ArrowError) -> QueryError {
    let text = match error {
        ArrowError::DivideByZero => "division by zero",
        ArrowError::CastError(_) | ArrowError::ParseError(_) => {
            "a value cannot be converted to the type that the query asks for"
        }
        ArrowError::ArithmeticOverflow(_) => "a number is out of range",
        ArrowError::OffsetOverflowError(_) => {
            return QueryError::limit(Exceeded::Memory, "the query makes a text that is too long");
        }
        ArrowError::IoError(_, io) if is_spill(io) => return spill(),
        ArrowError::IoError(..) | ArrowError::ParquetError(_) => {
            tracing::error!(error = %error, "query: a file cannot be read");
            return QueryError::unavailable("a file of the table cannot be read now; try again");
        }
        _ => "an expression of the query failed on a value that it met",
    };
    QueryError::invalid(text)
        .with_hint("TRY_CAST gives null where CAST fails; NULLIF guards a divisor")
}

/// The name of `all` that `given` is most likely a slip of.
pub(crate) fn closest<'a>(given: &str, all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    let simple = |name: &str| name.replace(['_', '-'], "");
    all.filter_map(|name| {
        let lower = name.to_ascii_lowercase();
        let distance = if simple(&lower) == simple(&given) {
            0
        } else {
            levenshtein(&lower, &given)
        };
        (distance <= 1 + given.chars().count() / 4).then_some((distance, name))
    })
    .min()
    .map(|(_, name)| name)
}

/// A parser's message, whose place is written at its end.
pub(crate) fn parse_error(text: &str) -> QueryError {
    let text = text
        .trim_start_matches("SQL error: ")
        .trim_start_matches("sql parser error: ")
        .trim_start_matches("ParserError(\"")
        .trim_start_matches("TokenizerError(\"")
        .trim_end_matches("\")");
    if text.contains("recursion limit exceeded") || text.contains("RecursionLimit") {
        return QueryError::limit(Exceeded::Statement, "the statement nests too deep");
    }
    let error = match text.rsplit_once(" at Line: ") {
        Some((message, place)) => {
            let mut numbers = place
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|n| n.parse().ok());
            let (line, column) = (numbers.next(), numbers.next());
            QueryError::invalid(first_line(message)).at(line.unwrap_or(0), column.unwrap_or(0))
        }
        None => QueryError::invalid(first_line(text)),
    };
    // The end is found where a parser wanted more, and "EOF" tells nobody that.
    let expected = error.message.strip_prefix("Expected: ");
    match expected.and_then(|e| e.strip_suffix(", found: EOF")) {
        Some(more) => {
            let hint = format!("the statement ends where {more} should follow");
            error.with_hint(hint)
        }
        None => error,
    }
}

/// The first line, capped: the engine likes to append lists and backtraces.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line
        .split(". This issue was likely caused")
        .next()
        .unwrap_or(line);
    line.chars().take(500).collect()
}

#[cfg(test)]
mod tests;
