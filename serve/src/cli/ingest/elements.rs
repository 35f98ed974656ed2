//! A JSON document too large for one body, taken apart element by element:
//! the elements of an array, of the array `Records` of an object, or whole
//! objects one after another. Each element's bytes stay as they are. Nothing
//! is held but the element at hand; depth is counted, not stacked.

use std::io::{self, Read};

/// Why the document cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub(super) enum SplitError {
    /// Reading or decompressing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not JSON, or cut short.
    #[error("byte {at}: {what}")]
    Json {
        /// Counted from 0, after decompression.
        at: u64,
        /// What was wrong.
        what: &'static str,
    },
}

/// What comes next of the document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// An element; its bytes are in the buffer that was given.
    Event,
    /// An element beyond every bound; its bytes were passed over.
    TooLong,
}

/// Where the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between documents.
    Top,
    /// In an array of events.
    Array {
        /// Whether it is the value of `Records`.
        in_object: bool,
    },
}

/// Takes `reader` apart.
#[derive(Debug)]
pub(super) struct Elements<R> {
    input: Input<R>,
    place: Place,
    /// An element longer than this is passed over.
    most: usize,
}

impl<R: Read> Elements<R> {
    pub(super) fn new(reader: R, most: usize) -> Self {
        Self {
            input: Input::new(reader),
            place: Place::Top,
            most,
        }
    }

    /// Puts the next element into `out`, which is emptied first; `None` at the
    /// end. An error is final.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Element>, SplitError> {
        out.clear();
        let mut kept = Kept::new(out, self.most);
        loop {
            let byte = self.input.after_space(None)?;
            match (self.place, byte) {
                (Place::Top, None) => return Ok(None),
                (Place::Top, Some(b'[')) => {
                    self.input.step();
                    self.place = Place::Array { in_object: false };
                }
                (Place::Top, Some(b'{')) => {
                    if self.object(&mut kept)? {
                        return Ok(Some(kept.element()));
                    }
                }
                (Place::Top, Some(_)) => {
                    return Err(self.input.error("an object or an array should begin here"));
                }
                (Place::Array { .. }, None) => return Err(self.input.error(CUT_SHORT)),
                (Place::Array { .. }, Some(b',')) => self.input.step(),
                (Place::Array { in_object }, Some(b']')) => {
                    self.input.step();
                    self.place = Place::Top;
                    if in_object {
                        self.rest_of_object()?;
                    }
                }
                (Place::Array { .. }, Some(_)) => {
                    self.input.value(&mut kept)?;
                    return Ok(Some(kept.element()));
                }
            }
        }
    }

    /// Reads an object at the top. True when it is an event itself, now in
    /// `kept`; false when the reader now stands within its `Records`.
    fn object(&mut self, kept: &mut Kept<'_>) -> Result<bool, SplitError> {
        kept.push(b'{');
        self.input.step();
        loop {
            match self.input.after_space(Some(kept))? {
                Some(b'}') => {
                    kept.push(b'}');
                    self.input.step();
                    return Ok(true);
                }
                Some(b',') => {
                    kept.push(b',');
                    self.input.step();
                }
                Some(b'"') => {
                    let begun = kept.out.len();
                    self.input.value(kept)?;
                    let is_records = kept.out.get(begun..) == Some(b"\"Records\"".as_slice());
                    self.colon(Some(kept))?;
                    let value = self.input.after_space(Some(kept))?;
                    if is_records && value == Some(b'[') {
                        self.input.step();
                        kept.clear();
                        self.place = Place::Array { in_object: true };
                        return Ok(false);
                    }
                    self.input.value(kept)?;
                }
                Some(_) => return Err(self.input.error("a name in quotes should stand here")),
                None => return Err(self.input.error(CUT_SHORT)),
            }
        }
    }

    /// Passes over what follows `Records`.
    fn rest_of_object(&mut self) -> Result<(), SplitError> {
        let mut nothing = Vec::new();
        let mut dropped = Kept::new(&mut nothing, 0);
        loop {
            match self.input.after_space(None)? {
                Some(b'}') => {
                    self.input.step();
                    return Ok(());
                }
                Some(b',') => self.input.step(),
                Some(b'"') => {
                    self.input.value(&mut dropped)?;
                    self.colon(None)?;
                    self.input.after_space(None)?;
                    self.input.value(&mut dropped)?;
                }
                Some(_) => return Err(self.input.error("a name in quotes should stand here")),
                None => return Err(self.input.error(CUT_SHORT)),
            }
        }
    }

    fn colon(&mut self, mut kept: Option<&mut Kept<'_>>) -> Result<(), SplitError> {
        if self.input.after_space(kept.as_deref_mut())? != Some(b':') {
            return Err(self.input.error("a colon should stand here"));
        }
        if let Some(kept) = kept {
            kept.push(b':');
        }
        self.input.step();
        Ok(())
    }
}

const CUT_SHORT: &str = "the document ends before it is closed; it was cut short";

/// Bytes that are kept up to a bound, and only counted beyond it.
#[derive(Debug)]
struct Kept<'a> {
    out: &'a mut Vec<u8>,
    most: usize,
    too_long: bool,
}

impl<'a> Kept<'a> {
    fn new(out: &'a mut Vec<u8>, most: usize) -> Self {
        Self {
            out,
            most,
            too_long: false,
        }
    }

    fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.too_long || self.out.len() + bytes.len() > self.most {
            self.too_long = true;
            self.out.clear();
        } else {
            self.out.extend_from_slice(bytes);
        }
    }

    fn clear(&mut self) {
        self.out.clear();
        self.too_long = false;
    }

    fn element(&self) -> Element {
        if self.too_long {
            Element::TooLong
        } else {
            Element::Event
        }
    }
}

/// Bytes, block by block.
#[derive(Debug)]
struct Input<R> {
    reader: R,
    block: Vec<u8>,
    at: usize,
    length: usize,
    passed: u64,
}

impl<R: Read> Input<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            block: vec![0; 256 << 10],
            at: 0,
            length: 0,
            passed: 0,
        }
    }

    fn error(&self, what: &'static str) -> SplitError {
        SplitError::Json {
            at: self.passed + self.at as u64,
            what,
        }
    }

    fn step(&mut self) {
        self.at += 1;
    }

    /// What is left of the block, after reading another where nothing is;
    /// empty at the end.
    fn left(&mut self) -> io::Result<&[u8]> {
        if self.at == self.length {
            self.passed += self.length as u64;
            (self.at, self.length) = (0, 0);
            self.length = loop {
                match self.reader.read(&mut self.block) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
        }
        Ok(&self.block[self.at..self.length])
    }

    /// The next byte that is not white space, not yet passed.
    fn after_space(&mut self, mut kept: Option<&mut Kept<'_>>) -> io::Result<Option<u8>> {
        loop {
            let Some(&byte) = self.left()?.first() else {
                return Ok(None);
            };
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Ok(Some(byte));
            }
            if let Some(kept) = &mut kept {
                kept.push(byte);
            }
            self.step();
        }
    }

    /// Passes one value, which begins right here, into `kept`.
    fn value(&mut self, kept: &mut Kept<'_>) -> Result<(), SplitError> {
        let mut scan = Scan::default();
        loop {
            let left = self.left()?;
            if left.is_empty() {
                // A number may end with the document, anything else may not.
                return if scan.is_scalar {
                    Ok(())
                } else {
                    Err(self.error(CUT_SHORT))
                };
            }
            let (taken, ended) = scan.run(left);
            kept.extend(&left[..taken]);
            self.at += taken;
            if ended {
                return if scan.taken_any {
                    Ok(())
                } else {
                    Err(self.error("a value should stand here"))
                };
            }
        }
    }
}

/// Where one value ends, found block by block.
#[derive(Debug, Default)]
struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
    is_scalar: bool,
    taken_any: bool,
}

impl Scan {
    /// How many of `bytes` belong to the value, and whether it ended.
    fn run(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                match memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                    None => return (bytes.len(), false),
                    Some(found) => {
                        at += found + 1;
                        if bytes[at - 1] == b'\\' {
                            self.escaped = true;
                        } else {
                            self.in_string = false;
                            if self.depth == 0 {
                                return (at, true);
                            }
                        }
                    }
                }
                continue;
            }
            let byte = bytes[at];
            if self.depth == 0 && self.is_scalar_end(byte) {
                return (at, true);
            }
            self.taken_any = true;
            at += 1;
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at, true);
                    }
                }
                _ if self.depth == 0 => self.is_scalar = true,
                _ => {}
            }
        }
        (at, false)
    }

    /// Whether a value outside of any bracket ends before `byte`.
    fn is_scalar_end(&self, byte: u8) -> bool {
        matches!(
            byte,
            b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\r' | b'\n'
        ) || (self.is_scalar && matches!(byte, b'"' | b'{' | b'['))
    }
}

#[cfg(test)]
mod tests;
