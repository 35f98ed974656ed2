//! What a client's text asks for. Questions are handed to the engine as they
//! are, and pass its gate there; the few commands about the session itself are
//! understood here, token by token.

mod copy;
mod tokens;

use pgwire::api::Type;

use super::error::{PgError, state};
pub(super) use copy::{CopyForm, CopyOut};
pub(super) use tokens::Piece;
use tokens::Words;

/// What one statement asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Nothing.
    Empty,
    /// Something for the engine.
    Ask,
    Begin(&'static str),
    Commit,
    Rollback,
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    Set(Set),
    /// `None` is ALL.
    Show(Option<String>),
    /// `None` is ALL.
    Reset(Option<String>),
    /// `None` is ALL.
    Deallocate(Option<String>),
    Discard(&'static str),
    /// A cursor over the question from this byte of the text on.
    Declare {
        name: String,
        query: usize,
    },
    Fetch {
        name: String,
        /// `None` is all.
        rows: Option<usize>,
        skip: bool,
    },
    /// `None` is ALL.
    Close(Option<String>),
    Copy(CopyOut),
    /// Channels that nothing is ever told on.
    Unlisten,
}

/// `SET name TO value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// In lower case.
    pub(super) name: String,
    /// `None` is DEFAULT.
    pub(super) value: Option<String>,
    /// Until the transaction's end only.
    pub(super) local: bool,
}

impl Command {
    /// What a client is told that it ran, where that does not depend on rows.
    pub(super) fn is_question(&self) -> bool {
        matches!(self, Self::Ask)
    }

    /// Whether it can be run in a transaction that has failed.
    pub(super) fn mends(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::RollbackTo(_))
    }
}

/// The single statements of `text`, and what each asks for.
pub(super) fn split(text: &str) -> Vec<Piece> {
    tokens::split(text)
}

/// Understands one statement.
pub(super) fn command(piece: &Piece) -> Result<Command, PgError> {
    let mut words = piece.words();
    let Some(first) = words.next_word() else {
        return Ok(match words.at_end() {
            true => Command::Empty,
            false => Command::Ask,
        });
    };
    Ok(match first.as_str() {
        "begin" => transaction(&mut words, "BEGIN")?,
        "start" => {
            words.expect("transaction")?;
            transaction(&mut words, "START TRANSACTION")?
        }
        "commit" | "end" => {
            words.skip_any(&["work", "transaction"]);
            words.end(Command::Commit)?
        }
        "rollback" | "abort" => rollback(&mut words)?,
        "savepoint" => Command::Savepoint(words.last_name()?),
        "release" => {
            words.skip_any(&["savepoint"]);
            Command::Release(words.last_name()?)
        }
        "set" => set(&mut words)?,
        "show" => show(&mut words)?,
        "reset" => Command::Reset(words.last_setting()?),
        "deallocate" => {
            words.skip_any(&["prepare"]);
            Command::Deallocate(words.last_or_all()?)
        }
        "discard" => discard(&mut words)?,
        "declare" => declare(&mut words)?,
        "fetch" => fetch(&mut words, false)?,
        "move" => fetch(&mut words, true)?,
        "close" => Command::Close(words.last_or_all()?),
        "copy" => Command::Copy(copy::parse(piece, &mut words)?),
        "unlisten" => Command::Unlisten,
        _ => Command::Ask,
    })
}

/// `BEGIN` and its modes, none of which changes what a reader sees: each
/// statement reads one snapshot, and nothing is ever written.
fn transaction(words: &mut Words<'_>, tag: &'static str) -> Result<Command, PgError> {
    words.skip_any(&["work", "transaction"]);
    modes(words)?;
    Ok(Command::Begin(tag))
}

fn modes(words: &mut Words<'_>) -> Result<(), PgError> {
    while !words.at_end() {
        let known = words.next_is_any(&[
            "isolation",
            "level",
            "serializable",
            "repeatable",
            "read",
            "committed",
            "uncommitted",
            "only",
            "write",
            "not",
            "deferrable",
            ",",
        ]);
        if !known {
            return Err(words.unexpected());
        }
    }
    Ok(())
}

fn rollback(words: &mut Words<'_>) -> Result<Command, PgError> {
    words.skip_any(&["work", "transaction"]);
    if words.skip_any(&["to"]) {
        words.skip_any(&["savepoint"]);
        return Ok(Command::RollbackTo(words.last_name()?));
    }
    words.end(Command::Rollback)
}

fn set(words: &mut Words<'_>) -> Result<Command, PgError> {
    let local = words.skip_any(&["local"]);
    let session = !local && words.skip_any(&["session"]);
    let set = |name: &str, value| {
        Command::Set(Set {
            name: name.to_owned(),
            value,
            local,
        })
    };
    if session && words.skip_any(&["characteristics"]) {
        words.expect("as")?;
        words.expect("transaction")?;
        modes(words)?;
        return Ok(set("transaction_mode", None));
    }
    if words.skip_any(&["transaction"]) {
        modes(words)?;
        return Ok(set("transaction_mode", None));
    }
    if session && words.skip_any(&["authorization"]) {
        return Ok(set("session_authorization", words.values()?));
    }
    let name = words.setting()?;
    match name.as_str() {
        "time" if words.skip_any(&["zone"]) => {
            if words.skip_any(&["local"]) {
                return words.end(set("timezone", None));
            }
            Ok(set("timezone", words.values()?))
        }
        "names" => Ok(set("client_encoding", words.values()?)),
        "role" if !words.peek_is_any(&["to", "="]) => Ok(set("role", words.values()?)),
        _ => {
            if !words.skip_any(&["to", "="]) {
                return Err(words.unexpected());
            }
            Ok(set(&name, words.values()?))
        }
    }
}

/// `SHOW TABLES` and `SHOW COLUMNS` are questions; all others are about the
/// session.
fn show(words: &mut Words<'_>) -> Result<Command, PgError> {
    if words.peek_is_any(&["tables", "columns"]) {
        return Ok(Command::Ask);
    }
    if words.skip_any(&["time"]) {
        words.expect("zone")?;
        return words.end(Command::Show(Some("timezone".to_owned())));
    }
    if words.skip_any(&["transaction"]) {
        words.expect("isolation")?;
        words.expect("level")?;
        return words.end(Command::Show(Some("transaction_isolation".to_owned())));
    }
    Ok(Command::Show(words.last_setting()?))
}

fn discard(words: &mut Words<'_>) -> Result<Command, PgError> {
    let tag = match words.next_word().as_deref() {
        Some("all") => "DISCARD ALL",
        Some("plans") => "DISCARD PLANS",
        Some("sequences") => "DISCARD SEQUENCES",
        Some("temp" | "temporary") => "DISCARD TEMP",
        _ => return Err(words.unexpected()),
    };
    words.end(Command::Discard(tag))
}

fn declare(words: &mut Words<'_>) -> Result<Command, PgError> {
    let name = words.name()?;
    loop {
        match words.next_word().as_deref() {
            Some("cursor") => break,
            Some("binary") => {
                return Err(PgError::new(
                    state::FEATURE_NOT_SUPPORTED,
                    "BINARY cursors are not supported",
                )
                .hint("ask for binary results in the extended protocol"));
            }
            // A cursor here only ever goes forward.
            Some("insensitive" | "asensitive" | "no" | "scroll") => {}
            _ => return Err(words.unexpected()),
        }
    }
    if words.skip_any(&["with"]) {
        return Err(PgError::new(
            state::FEATURE_NOT_SUPPORTED,
            "cursors WITH HOLD are not supported: a cursor ends with its transaction",
        ));
    }
    if words.skip_any(&["without"]) {
        words.expect("hold")?;
    }
    words.expect("for")?;
    let query = words.position().ok_or_else(|| words.unexpected())?;
    Ok(Command::Declare { name, query })
}

fn fetch(words: &mut Words<'_>, skip: bool) -> Result<Command, PgError> {
    let forward = words.skip_any(&["forward"]);
    let rows = if words.skip_any(&["all"]) {
        None
    } else if let Some(count) = words.number() {
        Some(count)
    } else if !forward
        && words.peek_is_any(&[
            "backward", "prior", "first", "last", "absolute", "relative", "-",
        ])
    {
        return Err(PgError::new(
            state::FEATURE_NOT_SUPPORTED,
            "cursors go forward only",
        ));
    } else {
        words.skip_any(&["next"]);
        Some(1)
    };
    words.skip_any(&["from", "in"]);
    let name = words.last_name()?;
    Ok(Command::Fetch { name, rows, skip })
}

/// The type that a client names for a parameter; `None` for one that it leaves
/// open.
pub(super) fn parameter_type(oid: u32) -> Option<Type> {
    match oid {
        0 | 705 => None,
        oid => Type::from_oid(oid),
    }
}

#[cfg(test)]
mod tests;
