//! NDJSON in chunks: as many whole lines as fit, in bounded memory.

use std::io::{self, Read};

/// What comes next of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// Whole lines; only the input's last may lack its line end.
    Chunk {
        /// The bytes as they came.
        bytes: Vec<u8>,
        /// Lines that are not blank, which the server will take for events.
        events: u64,
    },
    /// A line beyond every bound; its bytes were passed over.
    TooLong,
}

/// Cuts `reader` at line ends.
#[derive(Debug)]
pub(super) struct LineChunks<R> {
    reader: R,
    /// A chunk is no longer than this, unless one line is.
    target: usize,
    /// A line longer than this is passed over.
    most: usize,
    buffer: Vec<u8>,
    at_end: bool,
}

impl<R: Read> LineChunks<R> {
    pub(super) fn new(reader: R, target: usize, most: usize) -> Self {
        Self {
            reader,
            target: target.max(1),
            most: most.max(target),
            buffer: Vec::new(),
            at_end: false,
        }
    }

    /// The next chunk, `None` at the end. Without a line that is too long, the
    /// chunks one after another are the input.
    pub(super) fn next(&mut self) -> io::Result<Option<Lines>> {
        self.fill(self.target)?;
        if self.at_end {
            // The rest may be longer than the target only if it was filled for a long line.
            let bytes = std::mem::take(&mut self.buffer);
            return Ok((!bytes.is_empty()).then(|| chunk(bytes)));
        }
        if let Some(end) = memchr::memrchr(b'\n', &self.buffer) {
            return Ok(Some(self.split_after(end)));
        }
        // One line fills the target by itself: look for its end alone.
        loop {
            let searched = self.buffer.len();
            if searched > self.most {
                self.pass_over()?;
                return Ok(Some(Lines::TooLong));
            }
            self.fill(searched + STEP)?;
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                return Ok(Some(self.split_after(searched + end)));
            }
            if self.at_end {
                if self.buffer.len() > self.most {
                    self.buffer.clear();
                    return Ok(Some(Lines::TooLong));
                }
                return Ok(Some(chunk(std::mem::take(&mut self.buffer))));
            }
        }
    }

    fn split_after(&mut self, end: usize) -> Lines {
        let rest = self.buffer.split_off(end + 1);
        chunk(std::mem::replace(&mut self.buffer, rest))
    }

    /// Reads until the buffer holds `length` bytes or the input ends.
    fn fill(&mut self, length: usize) -> io::Result<()> {
        while !self.at_end && self.buffer.len() < length {
            let missing = (length - self.buffer.len()) as u64;
            let read = self
                .reader
                .by_ref()
                .take(missing)
                .read_to_end(&mut self.buffer)?;
            self.at_end = read == 0;
        }
        Ok(())
    }

    /// Drops bytes up to the next line end.
    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();
            self.fill(STEP)?;
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                self.buffer.drain(..=end);
                return Ok(());
            }
            if self.at_end {
                self.buffer.clear();
                return Ok(());
            }
        }
    }
}

const STEP: usize = 64 << 10;

fn chunk(bytes: Vec<u8>) -> Lines {
    let events = count_lines(&bytes);
    Lines::Chunk { bytes, events }
}

/// Lines that hold more than white space.
fn count_lines(bytes: &[u8]) -> u64 {
    let mut start = 0;
    let mut count = 0;
    let ends = memchr::memchr_iter(b'\n', bytes).chain(std::iter::once(bytes.len()));
    for end in ends {
        // The first byte decides nearly always.
        if bytes[start..end].iter().any(|b| !b.is_ascii_whitespace()) {
            count += 1;
        }
        start = (end + 1).min(bytes.len());
    }
    count
}

#[cfg(test)]
mod tests;
