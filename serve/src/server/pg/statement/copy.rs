//! `COPY … TO STDOUT`, in the forms that PostgreSQL has had over time.

use super::super::error::{PgError, state};
use super::tokens::{Piece, Words};

/// How rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CopyForm {
    /// One line a row, values between tabs.
    Text { delimiter: u8, null: String },
    /// Comma-separated values.
    Csv {
        delimiter: u8,
        quote: u8,
        escape: u8,
        null: String,
        force_quote: bool,
    },
    /// As on the wire.
    Binary,
}

/// What is copied, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyOut {
    /// A question.
    pub(crate) query: String,
    /// How many characters of the client's text stand before it; `None` where
    /// the question is not the client's own text.
    pub(crate) before: Option<usize>,
    pub(crate) form: CopyForm,
    pub(crate) header: bool,
}

/// What was said of the form.
#[derive(Debug, Default)]
struct Options {
    format: Option<String>,
    delimiter: Option<String>,
    null: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
    header: bool,
    force_quote: bool,
}

/// Reads on after `COPY`.
pub(super) fn parse(piece: &Piece, words: &mut Words<'_>) -> Result<CopyOut, PgError> {
    let mut options = Options::default();
    if words.skip_any(&["binary"]) {
        options.format = Some("binary".to_owned());
    }
    let (query, before) = match words.skip_any(&["("]) {
        true => {
            let (query, before) = question(piece, words)?;
            (query, Some(before))
        }
        false => (table(piece, words)?, None),
    };
    if words.skip_any(&["from"]) {
        return Err(PgError::new(
            state::READ_ONLY,
            "COPY FROM is not possible here: nothing is written",
        )
        .hint("events are sent with `cairn ingest` or POST /v1/events"));
    }
    words.expect("to")?;
    if !words.skip_any(&["stdout"]) {
        return Err(PgError::new(
            state::NOT_ALLOWED,
            "COPY goes to STDOUT alone: no file is written and no program started",
        )
        .hint("COPY (SELECT ...) TO STDOUT; psql's \\copy writes to a file of yours"));
    }
    words.skip_any(&["with"]);
    match words.skip_any(&["("]) {
        true => in_parentheses(words, &mut options)?,
        false => bare(words, &mut options)?,
    }
    let (form, header) = form(options)?;
    words.end(CopyOut {
        query,
        before,
        form,
        header,
    })
}

/// The question between parentheses, of which the first was read.
fn question(piece: &Piece, words: &mut Words<'_>) -> Result<(String, usize), PgError> {
    let start = words.position().ok_or_else(|| words.unexpected())?;
    let mut depth = 1;
    let mut end = start;
    loop {
        if words.at_end() {
            return Err(words.unexpected());
        }
        if words.skip_any(&["("]) {
            depth += 1;
        } else if words.skip_any(&[")"]) {
            depth -= 1;
            if depth == 0 {
                return Ok(piece.part(start, end));
            }
        } else {
            words.skip();
        }
        end = words.passed();
    }
}

/// A table, with or without some of its columns, as a question.
fn table(piece: &Piece, words: &mut Words<'_>) -> Result<String, PgError> {
    let start = words.position().ok_or_else(|| words.unexpected())?;
    words.setting()?;
    let (name, _) = piece.part(start, words.passed());
    if !words.skip_any(&["("]) {
        return Ok(format!("SELECT * FROM {name}"));
    }
    let (columns, _) = question(piece, words)?;
    Ok(format!("SELECT {columns} FROM {name}"))
}

fn in_parentheses(words: &mut Words<'_>, options: &mut Options) -> Result<(), PgError> {
    loop {
        let Some(name) = words.next_word() else {
            return Err(words.unexpected());
        };
        match name.as_str() {
            "format" => {
                let format = words.literal().or_else(|_| words.name())?;
                options.format = Some(format.to_ascii_lowercase());
            }
            "delimiter" => options.delimiter = Some(words.literal()?),
            "null" => options.null = Some(words.literal()?),
            "quote" => options.quote = Some(words.literal()?),
            "escape" => options.escape = Some(words.literal()?),
            "header" => options.header = boolean(words),
            "force_quote" => {
                words.expect("*")?;
                options.force_quote = true;
            }
            "encoding" => utf8(&words.literal()?)?,
            _ => {
                return Err(PgError::new(
                    state::FEATURE_NOT_SUPPORTED,
                    format!("option \"{name}\" of COPY is not supported"),
                ));
            }
        }
        if words.skip_any(&[")"]) {
            return Ok(());
        }
        words.expect(",")?;
    }
}

fn boolean(words: &mut Words<'_>) -> bool {
    if words.peek_is_any(&[",", ")"]) {
        return true;
    }
    match words.literal().or_else(|_| words.name()) {
        Ok(text) => matches!(text.to_ascii_lowercase().as_str(), "true" | "on"),
        Err(_) => words.number() == Some(1),
    }
}

/// The options of PostgreSQL before 9.0, which programs still send.
fn bare(words: &mut Words<'_>, options: &mut Options) -> Result<(), PgError> {
    while !words.at_end() {
        match words.next_word().as_deref() {
            Some("binary") => options.format = Some("binary".to_owned()),
            Some("csv") => options.format = Some("csv".to_owned()),
            Some("header") => options.header = true,
            Some("delimiter" | "delimiters") => {
                words.skip_any(&["as"]);
                options.delimiter = Some(words.literal()?);
            }
            Some("null") => {
                words.skip_any(&["as"]);
                options.null = Some(words.literal()?);
            }
            Some("quote") => {
                words.skip_any(&["as"]);
                options.quote = Some(words.literal()?);
            }
            Some("escape") => {
                words.skip_any(&["as"]);
                options.escape = Some(words.literal()?);
            }
            _ => return Err(words.unexpected()),
        }
    }
    Ok(())
}

fn utf8(name: &str) -> Result<(), PgError> {
    match name.to_ascii_lowercase().replace('-', "").as_str() {
        "utf8" | "unicode" => Ok(()),
        _ => Err(PgError::new(
            state::FEATURE_NOT_SUPPORTED,
            "COPY writes UTF8 alone",
        )),
    }
}

fn one_byte(text: Option<String>, default: u8, what: &str) -> Result<u8, PgError> {
    let Some(text) = text else {
        return Ok(default);
    };
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | b'\0') => Ok(*byte),
        _ => Err(PgError::new(
            state::BAD_PARAMETER,
            format!("COPY {what} must be a single one-byte character"),
        )),
    }
}

fn form(options: Options) -> Result<(CopyForm, bool), PgError> {
    let plain = options.quote.is_none() && options.escape.is_none() && !options.force_quote;
    let form = match options.format.as_deref() {
        None | Some("text") if plain => CopyForm::Text {
            delimiter: one_byte(options.delimiter, b'\t', "delimiter")?,
            null: options.null.unwrap_or_else(|| "\\N".to_owned()),
        },
        Some("csv") => {
            let quote = one_byte(options.quote, b'"', "quote")?;
            CopyForm::Csv {
                delimiter: one_byte(options.delimiter, b',', "delimiter")?,
                quote,
                escape: one_byte(options.escape, quote, "escape")?,
                null: options.null.unwrap_or_default(),
                force_quote: options.force_quote,
            }
        }
        Some("binary")
            if plain
                && options.delimiter.is_none()
                && options.null.is_none()
                && !options.header =>
        {
            CopyForm::Binary
        }
        None | Some("text" | "binary") => {
            return Err(PgError::new(
                state::FEATURE_NOT_SUPPORTED,
                "an option of COPY goes with another format",
            ));
        }
        Some(other) => {
            return Err(PgError::new(
                state::BAD_PARAMETER,
                format!("COPY format \"{other}\" not recognized"),
            )
            .hint("text, csv or binary"));
        }
    };
    Ok((form, options.header))
}
