//! The one place that writes to the terminal. Values come from the audited
//! world: whoever can name a user agent can put an escape sequence into it,
//! so everything is made [`visible`] before a terminal sees it.

mod columns;
mod pager;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

pub(super) use columns::{Columns, cell};
pub(super) use pager::Pager;

/// Standard output and standard error, or what a test puts in their place.
pub struct Out {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    /// Whether a person reads standard output.
    pub stdout_is_terminal: bool,
    /// Whether a person reads standard error.
    pub stderr_is_terminal: bool,
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out")
            .field("stdout_is_terminal", &self.stdout_is_terminal)
            .finish_non_exhaustive()
    }
}

impl Out {
    /// The process's own.
    pub fn process() -> Self {
        let stdout = io::stdout();
        let stderr = io::stderr();
        Self {
            stdout_is_terminal: stdout.is_terminal(),
            stderr_is_terminal: stderr.is_terminal(),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
        }
    }

    /// One line on standard output, control characters made visible.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.stdout, "{}", visible(text))
    }

    /// Bytes on standard output as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes)
    }

    /// Lines on standard error, for people. Where that fails there is nobody
    /// to tell.
    pub fn note(&mut self, text: &str) {
        for line in text.lines() {
            let _ = writeln!(self.stderr, "{}", visible(line));
        }
    }

    /// Hands everything on.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }

    /// What a test reads back.
    #[cfg(test)]
    pub(super) fn captured() -> (Self, Captured, Captured) {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let out = Self {
            stdout: Box::new(stdout.clone()),
            stderr: Box::new(stderr.clone()),
            stdout_is_terminal: false,
            stderr_is_terminal: false,
        };
        (out, stdout, stderr)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdout.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

/// Whether a terminal or a reader could be misled by `c`: control characters,
/// and those that turn the direction of writing or take no room.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{e0000}'..='\u{e007f}'
        )
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text with everything hidden written out: `\n`, `\t`, `\u{1b}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// The same for bytes that stream to a terminal and whose line ends and tabs
/// have to stay: escape, delete and the like are written out.
#[derive(Debug, Default)]
pub(super) struct TerminalFilter {
    /// A UTF-8 character that the last block ended within.
    rest: Vec<u8>,
}

impl TerminalFilter {
    /// The block, safe to show. What is not UTF-8 is replaced.
    pub(super) fn pass(&mut self, block: &[u8]) -> String {
        self.rest.extend_from_slice(block);
        let whole = match std::str::from_utf8(&self.rest) {
            // An unfinished character waits for its end; a wrong one doesn't.
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            _ => self.rest.len(),
        };
        let text = String::from_utf8_lossy(&self.rest[..whole]).into_owned();
        self.rest.drain(..whole);
        let mut shown = String::with_capacity(text.len());
        for c in text.chars() {
            if is_hidden(c) && !matches!(c, '\n' | '\r' | '\t') {
                shown.extend(c.escape_default());
            } else {
                shown.push(c);
            }
        }
        shown
    }
}

/// A buffer that a test shares with an [`Out`].
#[cfg(test)]
#[derive(Clone, Default)]
pub(super) struct Captured(std::sync::Arc<parking_lot::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Captured {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
