//! From JSON values to what columns hold. Nothing here fails: what fits no
//! column is null there, is flagged, and stays in `raw`.

use std::borrow::Cow;

use cairn_schemas::Micros;

use super::event::Text;
use super::fields::{Fields, Top};
use super::flags::Flags;
use super::json::{At, Kind, Tape};
use super::time;

/// One event's values, and the flags that reading them raised.
#[derive(Debug)]
pub(crate) struct Values<'a, 't> {
    tape: &'t Tape<'a>,
    fields: &'t Fields,
    pub(crate) flags: Flags,
}

impl<'a, 't> Values<'a, 't> {
    pub(crate) fn new(tape: &'t Tape<'a>, fields: &'t Fields) -> Self {
        Self {
            tape,
            fields,
            flags: Flags::NONE,
        }
    }

    pub(crate) fn tape(&self) -> &'t Tape<'a> {
        self.tape
    }

    pub(crate) fn fields(&self) -> &'t Fields {
        self.fields
    }

    /// The member `name` of the object at `parent`.
    pub(crate) fn member(&self, parent: Option<At>, name: &str) -> Option<At> {
        self.tape.member(parent?, name)
    }

    /// Text; numbers and booleans as they are written.
    pub(crate) fn text(&mut self, at: Option<At>) -> Option<Text<'a>> {
        let at = at?;
        match self.tape.kind(at) {
            Kind::Null => None,
            Kind::Plain => Some(Cow::Borrowed(self.tape.inside(at))),
            Kind::Escaped => {
                let (text, lossy) = self.tape.string(at);
                if lossy {
                    self.out_of_range();
                }
                Some(text)
            }
            Kind::Number | Kind::True | Kind::False => Some(Cow::Borrowed(self.tape.raw(at))),
            Kind::Array | Kind::Object => {
                self.out_of_range();
                None
            }
        }
    }

    /// A field of the top level as text.
    pub(crate) fn top(&mut self, field: Top) -> Option<Text<'a>> {
        self.text(self.fields.at(field))
    }

    /// The same, without a flag: for looking ahead.
    pub(crate) fn peek_text(&self, field: Top) -> Option<Text<'a>> {
        let at = self.fields.at(field)?;
        match self.tape.kind(at) {
            Kind::Plain | Kind::Escaped => Some(self.tape.string(at).0),
            _ => None,
        }
    }

    /// The first of two spellings that says something.
    pub(crate) fn either(&mut self, first: Top, second: Top) -> Option<Text<'a>> {
        match self.top(first) {
            Some(text) if !text.is_empty() => Some(text),
            said => self.top(second).or(said),
        }
    }

    /// A boolean, also one that was written as text.
    pub(crate) fn boolean(&mut self, at: Option<At>) -> Option<bool> {
        let at = at?;
        match self.tape.kind(at) {
            Kind::Null => None,
            Kind::True => Some(true),
            Kind::False => Some(false),
            Kind::Plain => {
                let said = match self.tape.inside(at) {
                    "" => return None,
                    "true" => Some(true),
                    "false" => Some(false),
                    text if text.eq_ignore_ascii_case("true") => Some(true),
                    text if text.eq_ignore_ascii_case("false") => Some(false),
                    text if text.eq_ignore_ascii_case("yes") => Some(true),
                    text if text.eq_ignore_ascii_case("no") => Some(false),
                    _ => None,
                };
                if said.is_none() {
                    self.out_of_range();
                }
                said
            }
            _ => {
                self.out_of_range();
                None
            }
        }
    }

    /// A moment: RFC 3339 text, or a number of seconds, milliseconds or
    /// microseconds. `Err` where something stands there that is none.
    pub(crate) fn moment(&self, at: Option<At>) -> Result<Option<Micros>, ()> {
        let Some(at) = at else { return Ok(None) };
        let found = match self.tape.kind(at) {
            Kind::Null => return Ok(None),
            Kind::Plain | Kind::Escaped => {
                let (text, _) = self.tape.string(at);
                if text.is_empty() {
                    return Ok(None);
                }
                time::parse(&text)
            }
            Kind::Number => time::parse_epoch(self.tape.raw(at)),
            _ => None,
        };
        found.map(Some).ok_or(())
    }

    /// The value's JSON as received; null is no value.
    pub(crate) fn json(&self, field: Top) -> Option<&'a str> {
        let at = self.fields.at(field)?;
        (self.tape.kind(at) != Kind::Null).then(|| self.tape.raw(at))
    }

    pub(crate) fn out_of_range(&mut self) {
        self.flags.insert(Flags::VALUE_OUT_OF_RANGE);
    }
}
