//! The received bytes of an event, without those that its columns hold as well.
//!
//! Most of an event's bytes stand in its columns already: the column
//! `user_identity` is a slice of `raw`, and so are most others. A table that
//! is *outlined* keeps `raw` as what remains when those slices are cut out, its
//! outline, in the column `raw_outline`:
//!
//! ```text
//! raw          {"eventVersion":"1.08","eventID":"c636b8fe","readOnly":true}
//! raw_outline  {"eventVersion":"1.08","eventID":"␁event_id␁","readOnly":true}
//! ```
//!
//! where ␁ is U+0001, which no JSON text holds. Events of one kind have one
//! outline, so that a file's dictionary holds each once: of 27,000 generated events
//! with plain hosts there were 433 outlines, and in place of the 208 compressed bytes of each
//! event's `raw` the file has little more than one (docs/benchmarks.md).
//!
//! **The format.** A row of an outlined table has either `raw` or
//! `raw_outline`; the other one is null. In an outline, what stands between the
//! first U+0001 and the second, the third and the fourth, and so on, is a
//! reference, to be replaced by
//!
//! | reference | text |
//! |---|---|
//! | a name of [`TEXTS`] | that column's value, as it is |
//! | `event_time`, `event_time.3`, `event_time.6` | the moment as `2026-06-01T20:22:16Z`, with that many digits behind the second |
//! | `resources.N.name`, `.type`, `.account_id` | that field of the element `N` of `resources`, from 0 |
//!
//! and everything else stands as it is.
//!
//! **What makes it safe.** [`fold::Outlines`] looks for the slices, and may look
//! wrongly; but no row is written as an outline that was not put together
//! again from the very columns that are written with it, and found equal to what was
//! received, byte for byte. What does not come out equal is kept whole.
//! A merge puts the rows of its result together once more, from the encoded
//! file, and compares their hashes to those of the first commit.
//!
//! The idea is that of Elasticsearch's synthetic `_source`
//! (<https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/mapping-source-field#synthetic-source>),
//! which gives back an equivalent document; this gives back the same bytes.

mod fill;
pub(crate) mod fold;
mod learn;
mod sources;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub use fill::{fill, filled};
pub use sources::needed;

use sources::{MAX_TIME, RESOURCE_FIELDS, Sources, TEXTS};

/// What a reference stands between: the one control character that is easy to
/// type, and not allowed anywhere in JSON (RFC 8259, section 7).
const MARK: char = '\u{1}';

/// One outline, taken apart.
#[derive(Debug)]
struct Outline<'a> {
    text: &'a str,
    pieces: Vec<Piece>,
}

/// A part of the received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// It stands in the outline.
    Literal(Range<usize>),
    /// It stands in a column.
    Of(Reference),
}

/// A place in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reference {
    /// The column at this place of [`TEXTS`].
    Text(usize),
    /// `event_time`, with so many digits behind the second.
    Time(usize),
    /// A field, by its place in [`RESOURCE_FIELDS`], of an element of `resources`.
    Resource { item: usize, field: usize },
}

impl Reference {
    fn parse(name: &str) -> Option<Self> {
        if let Some(at) = TEXTS.iter().position(|t| *t == name) {
            return Some(Self::Text(at));
        }
        match name {
            "event_time" => return Some(Self::Time(0)),
            "event_time.3" => return Some(Self::Time(3)),
            "event_time.6" => return Some(Self::Time(6)),
            _ => {}
        }
        let (item, field) = name.strip_prefix("resources.")?.split_once('.')?;
        Some(Self::Resource {
            item: item.parse().ok()?,
            field: RESOURCE_FIELDS.iter().position(|f| *f == field)?,
        })
    }

    fn push_to(self, text: &mut String) {
        text.push(MARK);
        match self {
            Self::Text(at) => text.push_str(TEXTS[at]),
            Self::Time(0) => text.push_str("event_time"),
            Self::Time(digits) => {
                text.push_str("event_time.");
                text.push_str(&digits.to_string());
            }
            Self::Resource { item, field } => {
                text.push_str("resources.");
                text.push_str(&item.to_string());
                text.push('.');
                text.push_str(RESOURCE_FIELDS[field]);
            }
        }
        text.push(MARK);
    }
}

impl<'a> Outline<'a> {
    /// The inverse of writing its pieces one after the other; on error, the
    /// reference that is none.
    fn parse(text: &'a str) -> Result<Self, &'a str> {
        Ok(Self {
            text,
            pieces: pieces(text)?,
        })
    }

    /// Puts the received bytes at the end of `out`. On error, the reference that
    /// the row has nothing for.
    fn put(&self, sources: &Sources<'_>, row: usize, out: &mut String) -> Result<(), Reference> {
        let mut time = [0; MAX_TIME];
        for piece in &self.pieces {
            out.push_str(match piece {
                Piece::Literal(range) => &self.text[range.clone()],
                Piece::Of(r) => sources.get(*r, row, &mut time).ok_or(*r)?,
            });
        }
        Ok(())
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, &str> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for (n, part) in text.split(MARK).enumerate() {
        if n % 2 == 1 {
            pieces.push(Piece::Of(Reference::parse(part).ok_or(part)?));
        } else if !part.is_empty() {
            pieces.push(Piece::Literal(at..at + part.len()));
        }
        at += part.len() + MARK.len_utf8();
    }
    // As many marks as close what they open.
    match text.matches(MARK).count() % 2 {
        0 => Ok(pieces),
        _ => Err("nothing, for its last mark opens what is not closed"),
    }
}

/// Whether the columns of `row` make of the outline just what was received.
fn makes(text: &str, pieces: &[Piece], raw: &str, sources: &Sources<'_>, row: usize) -> bool {
    let mut time = [0; MAX_TIME];
    let mut rest = raw.as_bytes();
    for piece in pieces {
        let part = match piece {
            Piece::Literal(range) => &text[range.clone()],
            Piece::Of(r) => match sources.get(*r, row, &mut time) {
                Some(part) => part,
                None => return false,
            },
        };
        match rest.strip_prefix(part.as_bytes()) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}
