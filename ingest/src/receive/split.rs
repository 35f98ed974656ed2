//! Where one event of a body ends and the next begins.
//!
//! A body is a sequence of documents: objects and arrays one after another,
//! on lines of their own or not. A document is an event, an array of events, a
//! CloudTrail delivery (`{"Records": […]}`) or an envelope of the log service
//! (`{"contents": {"event": "…"}}`). A line that is none of these becomes a
//! piece of its own, which the decoder will refuse: 99 good lines of 100 get
//! through.

use bytes::Bytes;
use memchr::{memchr, memchr_iter, memmem};

use super::structure::{self, Broken, skip_space, value_end};
use super::{BodyError, Encoding, Piece, ReceiveLimits};
use crate::decode::json_string;

/// Cuts `body` into events. None of them is parsed; each is a slice of the
/// body, but for those that came escaped in an envelope.
///
/// # Errors
///
/// A [`BodyError`] when no event can be told from another: then nothing of
/// the body may be taken.
pub fn split(body: &Bytes, limits: &ReceiveLimits) -> Result<Vec<Piece>, BodyError> {
    let mut splitter = Splitter {
        body,
        limits,
        pieces: Vec::new(),
        documents: 0,
        wasted: 0,
        records: memmem::Finder::new("\"Records\""),
        contents: memmem::Finder::new("\"contents\""),
    };
    splitter.body()?;
    Ok(splitter.pieces)
}

/// Why a document was given up.
enum Stop {
    Broken(Broken),
    Body(BodyError),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<BodyError> for Stop {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

struct Splitter<'b> {
    body: &'b Bytes,
    limits: &'b ReceiveLimits,
    pieces: Vec<Piece>,
    /// How many documents were whole.
    documents: usize,
    /// Bytes that were looked at in vain beyond the line in question.
    wasted: usize,
    records: memmem::Finder<'static>,
    contents: memmem::Finder<'static>,
}

impl Splitter<'_> {
    fn body(&mut self) -> Result<(), BodyError> {
        let bytes: &[u8] = self.body;
        let start = usize::from(bytes.starts_with(b"\xef\xbb\xbf")) * 3;
        let first = skip_space(bytes, start);
        if first == bytes.len() {
            return Err(BodyError::Empty);
        }
        if Encoding::of(bytes).is_some() {
            return Err(BodyError::CompressedTwice);
        }
        let mut at = first;
        while at < bytes.len() {
            let line_end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n);
            let line = bytes[at..line_end].trim_ascii_end();
            // The first document is always looked at in full, for it shows
            // whether lines mean anything in this body.
            at = if at > first && self.is_plain_event(line) {
                self.documents += 1;
                self.piece(at, at + line.len())?;
                line_end
            } else {
                self.document_or_line(at, line, line_end)?
            };
            at = skip_space(bytes, at);
        }
        if self.documents == 0 {
            return Err(BodyError::NotJson);
        }
        Ok(())
    }

    /// Whether a line is one object as far as a glance tells, and neither a
    /// delivery nor an envelope. No bracket is counted.
    fn is_plain_event(&self, line: &[u8]) -> bool {
        let [b'{', .., b'}'] = line else { return false };
        // Two documents on one line: "} {" stands outside of strings.
        let two = memchr_iter(b'{', &line[1..])
            .any(|i| line[..=i].trim_ascii_end().last() == Some(&b'}'));
        !two && !self.may_wrap(line)
    }

    fn may_wrap(&self, bytes: &[u8]) -> bool {
        self.records.find(bytes).is_some() || self.contents.find(bytes).is_some()
    }

    /// Takes the document at `at`, or the line as a piece where none begins
    /// there. Returns where to go on.
    fn document_or_line(
        &mut self,
        at: usize,
        line: &[u8],
        line_end: usize,
    ) -> Result<usize, BodyError> {
        let bytes: &[u8] = self.body;
        let pieces = self.pieces.len();
        // Once more was looked at in vain than the body has bytes, documents
        // are looked for within lines only: so the whole stays linear.
        let horizon = if self.wasted > bytes.len() {
            &bytes[..line_end]
        } else {
            bytes
        };
        let broken = match self.document(horizon, at) {
            // What follows a document is another one, or white space.
            Ok(end) => match bytes.get(end) {
                None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'[') => {
                    self.documents += 1;
                    return Ok(end);
                }
                Some(_) => Broken(end),
            },
            Err(Stop::Body(error)) => return Err(error),
            Err(Stop::Broken(broken)) => broken,
        };
        // Whatever the broken document yielded is not taken: it would be
        // taken again with the line.
        self.pieces.truncate(pieces);
        if self.spans_lines(at, line) {
            return Err(self.broken(broken));
        }
        self.wasted += broken.0.saturating_sub(line_end);
        self.piece(at, at + line.len())?;
        Ok(line_end)
    }

    /// Whether a broken document that begins with `line` is meant to go on
    /// after it: then the lines after it are parts of it, and no events.
    fn spans_lines(&self, at: usize, line: &[u8]) -> bool {
        if matches!(line, [b'{']) {
            let next = skip_space(self.body, at + 1);
            return self.body.get(next) == Some(&b'"');
        }
        let first = self.pieces.is_empty() && self.documents == 0;
        let delivery = line.first() == Some(&b'{') && records_array(self.body, at).is_some();
        first && (line.first() == Some(&b'[') || delivery)
    }

    fn broken(&self, Broken(byte): Broken) -> BodyError {
        let byte = byte.min(self.body.len());
        let line = 1 + memchr_iter(b'\n', &self.body[..byte]).count();
        BodyError::Broken { line, byte }
    }

    /// One past the end of the document at `at`, its events taken.
    fn document(&mut self, bytes: &[u8], at: usize) -> Result<usize, Stop> {
        match bytes.get(at) {
            Some(b'[') => structure::elements(bytes, at, |start, end| {
                self.element(&bytes[..end], start).map_err(Stop::Body)
            }),
            Some(b'{') => {
                if let Some(array) = records_array(bytes, at) {
                    return self.delivery(bytes, at, array);
                }
                let end = value_end(bytes, at)?;
                self.element(&bytes[..end], at)?;
                Ok(end)
            }
            _ => Err(Broken(at).into()),
        }
    }

    /// The delivery at `at` whose first member is the array of records at
    /// `array`: its records are taken as they are met, so that a file of
    /// many is walked once.
    fn delivery(&mut self, bytes: &[u8], at: usize, array: usize) -> Result<usize, Stop> {
        let pieces = self.pieces.len();
        let mut end = structure::elements(bytes, array, |start, end| {
            self.piece(start, end).map_err(Stop::Body)
        })?;
        end = skip_space(bytes, end);
        if bytes.get(end) == Some(&b'}') {
            return Ok(end + 1);
        }
        // More members follow. The careful way decides what this is.
        self.pieces.truncate(pieces);
        end = value_end(bytes, at)?;
        self.element(&bytes[..end], at)?;
        Ok(end)
    }

    /// The value from `start` to the end of `bytes`: an event, or a wrapper
    /// that is opened.
    fn element(&mut self, bytes: &[u8], start: usize) -> Result<(), BodyError> {
        let end = bytes.len();
        if bytes.get(start) != Some(&b'{') || !self.may_wrap(&bytes[start..]) {
            return self.piece(start, end);
        }
        match wrapper(bytes, start) {
            Some(Wrapper::Records(array)) => {
                let pieces = self.pieces.len();
                let walked = structure::elements(bytes, array, |start, end| {
                    self.piece(start, end).map_err(Stop::Body)
                });
                match walked {
                    Ok(_) => Ok(()),
                    Err(Stop::Body(error)) => Err(error),
                    Err(Stop::Broken(_)) => {
                        self.pieces.truncate(pieces);
                        self.piece(start, end)
                    }
                }
            }
            Some(Wrapper::Object(start, end)) => self.piece(start, end),
            Some(Wrapper::Text(text)) => self.owned(text),
            None => self.piece(start, end),
        }
    }

    fn piece(&mut self, start: usize, end: usize) -> Result<(), BodyError> {
        let size = end - start;
        if size > self.limits.max_event {
            return self.too_large(size);
        }
        let event = self.body.slice(start..end);
        self.push(Piece::Event(event))
    }

    fn owned(&mut self, text: String) -> Result<(), BodyError> {
        if text.len() > self.limits.max_event {
            return self.too_large(text.len());
        }
        self.push(Piece::Event(Bytes::from(text)))
    }

    fn too_large(&mut self, size: usize) -> Result<(), BodyError> {
        let index = self.pieces.len();
        self.push(Piece::TooLarge { index, size })
    }

    fn push(&mut self, piece: Piece) -> Result<(), BodyError> {
        if self.pieces.len() >= self.limits.max_events {
            return Err(BodyError::TooManyEvents {
                limit: self.limits.max_events,
            });
        }
        self.pieces.push(piece);
        Ok(())
    }
}

/// Where the array begins, if an object's first member is `"Records": [`.
fn records_array(bytes: &[u8], at: usize) -> Option<usize> {
    let key = skip_space(bytes, at + 1);
    let rest = bytes.get(key..)?;
    if !rest.starts_with(b"\"Records\"") {
        return None;
    }
    let colon = skip_space(bytes, key + 9);
    let array = skip_space(bytes, colon + 1);
    (bytes.get(colon) == Some(&b':') && bytes.get(array) == Some(&b'[')).then_some(array)
}

enum Wrapper {
    /// The array of records begins here.
    Records(usize),
    /// The event stands here, as an object.
    Object(usize, usize),
    /// The event, taken out of its string.
    Text(String),
}

/// What the object at `start` wraps. An object that is an event itself, or
/// that names the deciding key twice, is no wrapper: as a piece it comes
/// before the decoder, which takes the one and refuses the other.
fn wrapper(bytes: &[u8], start: usize) -> Option<Wrapper> {
    let mut records = Once::default();
    let mut contents = Once::default();
    let mut event = false;
    structure::members(bytes, start, |key, value| match &bytes[key.0..key.1] {
        b"Records" => records.set(value),
        b"contents" => contents.set(value),
        b"eventName" | b"eventId" | b"eventID" => event = true,
        _ => {}
    })
    .ok()?;
    match (records.get(), contents.get()) {
        _ if event => None,
        (Some((at, _)), None) if bytes[at] == b'[' => Some(Wrapper::Records(at)),
        (None, Some((at, _))) if bytes[at] == b'{' => envelope(bytes, at),
        _ => None,
    }
}

/// The event in the log service's `{"event": "…", …}`.
fn envelope(bytes: &[u8], contents: usize) -> Option<Wrapper> {
    let mut event = Once::default();
    structure::members(bytes, contents, |key, value| {
        if &bytes[key.0..key.1] == b"event" {
            event.set(value);
        }
    })
    .ok()?;
    let (start, end) = event.get()?;
    match bytes[start] {
        b'{' => Some(Wrapper::Object(start, end)),
        // A string that is broken, or that no UTF-8 text can hold, stays in
        // its envelope: what is kept is then what came.
        b'"' => json_string(&bytes[start..end]).map(Wrapper::Text),
        _ => None,
    }
}

/// A value that must be seen just once.
#[derive(Default)]
struct Once {
    value: Option<(usize, usize)>,
    twice: bool,
}

impl Once {
    fn set(&mut self, value: (usize, usize)) {
        self.twice |= self.value.replace(value).is_some();
    }

    fn get(&self) -> Option<(usize, usize)> {
        self.value.filter(|_| !self.twice)
    }
}

#[cfg(test)]
mod tests;
