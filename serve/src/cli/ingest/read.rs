//! From inputs to bodies: the one thread that reads, decompresses and cuts,
//! while the bodies before are under way.

use std::io::{self, Cursor, Read};

use bytes::Bytes;
use indicatif::ProgressBar;

use super::elements::{Element, Elements, SplitError};
use super::inputs::{Input, Opened, Shape};
use super::lines::{LineChunks, Lines};
use super::tally::Refusal;
use crate::client::Encoding;

/// How inputs are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The length that bodies aim at.
    pub(super) chunk: usize,
    /// A file up to this length is read whole; a document is sent as it is.
    pub(super) whole: u64,
    /// A compressed file up to this length is sent as it is, whatever it
    /// holds. The server says where that decompresses to too much.
    pub(super) whole_compressed: u64,
    /// An event longer than this is refused here.
    pub(super) event: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk: 4 << 20,
            whole: 16 << 20,
            whole_compressed: 2 << 20,
            event: 32 << 20,
        }
    }
}

impl Limits {
    /// The same, with nothing sent as it is.
    pub(super) fn cut_everything(self) -> Self {
        Self {
            whole: 0,
            whole_compressed: 0,
            ..self
        }
    }
}

/// One body.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// The input it comes from.
    pub(super) input: Input,
    /// The index in the input of its first event.
    pub(super) first: u64,
    /// How many events it holds; not known of a file that is sent as it is.
    pub(super) events: Option<u64>,
    /// The bytes.
    pub(super) body: Bytes,
    /// How they are compressed.
    pub(super) encoding: Option<Encoding>,
}

/// What the reading thread hands over.
#[derive(Debug)]
pub(super) enum Job {
    /// A body to send.
    Send(Piece),
    /// Something that cannot be sent.
    Refused(Refusal),
    /// An input that cannot be read.
    Unreadable(String),
}

/// Reads all inputs. `hand_over` says false when nobody listens any more.
pub(super) fn read_all(
    inputs: &[Input],
    limits: Limits,
    bar: &ProgressBar,
    hand_over: &mut dyn FnMut(Job) -> bool,
) {
    for input in inputs {
        let mut cutter = Cutter {
            input,
            limits,
            first: 0,
            hand_over: &mut *hand_over,
        };
        match cutter.input(bar) {
            Ok(()) => {}
            Err(Stop::NobodyListens) => return,
            Err(Stop::Unreadable(error)) => {
                if !hand_over(Job::Unreadable(format!("{}: {error}", input.name()))) {
                    return;
                }
            }
        }
    }
}

enum Stop {
    NobodyListens,
    Unreadable(io::Error),
}

struct Cutter<'a> {
    input: &'a Input,
    limits: Limits,
    first: u64,
    hand_over: &'a mut dyn FnMut(Job) -> bool,
}

impl Cutter<'_> {
    fn input(&mut self, bar: &ProgressBar) -> Result<(), Stop> {
        let is_small = matches!(self.input, Input::File(_, length) if *length <= self.limits.whole);
        let mut plain = self.input.plain().map_err(Stop::Unreadable)?;
        if !is_small {
            return self.opened(Opened::new(Box::new(bar.wrap_read(plain))));
        }
        let mut bytes = Vec::new();
        plain.read_to_end(&mut bytes).map_err(Stop::Unreadable)?;
        bar.inc(bytes.len() as u64);
        let body = Bytes::from(bytes);
        let opened = Opened::new(Box::new(Cursor::new(body.clone())));
        if let Ok(Opened {
            encoding, shape, ..
        }) = &opened
        {
            let as_it_is = match encoding {
                Some(_) => body.len() as u64 <= self.limits.whole_compressed,
                None => *shape == Shape::Document,
            };
            if as_it_is {
                return self.send(body, None, *encoding);
            }
        }
        self.opened(opened)
    }

    fn opened(&mut self, opened: io::Result<Opened>) -> Result<(), Stop> {
        match opened {
            Err(error) => self.broken(error),
            Ok(opened) => match opened.shape {
                Shape::Lines => self.lines(opened.reader),
                Shape::Document => self.document(opened.reader),
            },
        }
    }

    fn lines(&mut self, reader: Box<dyn Read + Send>) -> Result<(), Stop> {
        let mut chunks = LineChunks::new(reader, self.limits.chunk, self.limits.event);
        loop {
            match chunks.next() {
                Ok(None) => return Ok(()),
                Ok(Some(Lines::Chunk { events: 0, .. })) => {}
                Ok(Some(Lines::Chunk { bytes, events })) => {
                    self.send(Bytes::from(bytes), Some(events), None)?;
                }
                Ok(Some(Lines::TooLong)) => self.too_long()?,
                Err(error) => return self.broken(error),
            }
        }
    }

    fn document(&mut self, reader: Box<dyn Read + Send>) -> Result<(), Stop> {
        let mut elements = Elements::new(reader, self.limits.event);
        let mut array = Array::default();
        let mut element = Vec::new();
        let mut end = Ok(());
        loop {
            match elements.next(&mut element) {
                Ok(Some(Element::Event)) => {
                    if array.would_exceed(element.len(), self.limits.chunk) {
                        self.array(&mut array)?;
                    }
                    array.push(&element);
                }
                Ok(Some(Element::TooLong)) => {
                    self.array(&mut array)?;
                    self.too_long()?;
                }
                Ok(None) => break,
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        // What came before the error is good.
        self.array(&mut array)?;
        match end {
            Ok(()) => Ok(()),
            Err(SplitError::Io(error)) => self.broken(error),
            Err(error) => self.refuse("invalid_body", error.to_string(), None),
        }
    }

    fn array(&mut self, array: &mut Array) -> Result<(), Stop> {
        match array.take() {
            Some((body, events)) => self.send(body, Some(events), None),
            None => Ok(()),
        }
    }

    fn send(
        &mut self,
        body: Bytes,
        events: Option<u64>,
        encoding: Option<Encoding>,
    ) -> Result<(), Stop> {
        let piece = Piece {
            input: self.input.clone(),
            first: self.first,
            events,
            body,
            encoding,
        };
        self.first += events.unwrap_or(0);
        self.over(Job::Send(piece))
    }

    fn too_long(&mut self) -> Result<(), Stop> {
        let index = self.first;
        self.first += 1;
        let message = format!("the event is longer than {} bytes", self.limits.event);
        self.refuse("too_large", message, Some(index))
    }

    /// Content that cannot be decompressed is refused; a disk that cannot be
    /// read is a failure.
    fn broken(&mut self, error: io::Error) -> Result<(), Stop> {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        match error.kind() {
            InvalidData | InvalidInput | Other | UnexpectedEof => {
                let message = if self.first == 0 {
                    format!("it cannot be decompressed: {error}")
                } else {
                    format!(
                        "it cannot be decompressed beyond event {}: {error}",
                        self.first
                    )
                };
                self.refuse("invalid_body", message, None)
            }
            _ => Err(Stop::Unreadable(error)),
        }
    }

    fn refuse(&mut self, code: &str, message: String, index: Option<u64>) -> Result<(), Stop> {
        let refusal = Refusal {
            file: self.input.name(),
            index,
            code: code.to_owned(),
            message,
        };
        self.over(Job::Refused(refusal))
    }

    fn over(&mut self, job: Job) -> Result<(), Stop> {
        if (self.hand_over)(job) {
            Ok(())
        } else {
            Err(Stop::NobodyListens)
        }
    }
}

/// A JSON array under construction.
#[derive(Default)]
struct Array {
    bytes: Vec<u8>,
    events: u64,
}

impl Array {
    fn would_exceed(&self, element: usize, most: usize) -> bool {
        self.events > 0 && self.bytes.len() + element + 2 > most
    }

    fn push(&mut self, element: &[u8]) {
        self.bytes.push(if self.events == 0 { b'[' } else { b',' });
        self.bytes.extend_from_slice(element);
        self.events += 1;
    }

    fn take(&mut self) -> Option<(Bytes, u64)> {
        if self.events == 0 {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.push(b']');
        Some((Bytes::from(bytes), std::mem::take(&mut self.events)))
    }
}
