//! Which files to read, and what each holds.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use crate::client::Encoding;

/// One thing to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A file and its length.
    File(PathBuf, u64),
    /// Standard input.
    Stdin,
}

impl Input {
    /// What messages call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path, _) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
        }
    }

    /// Its length, where that is known.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::File(_, length) => *length,
            Self::Stdin => 0,
        }
    }

    /// The bytes as they lie there.
    pub(super) fn plain(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::File(path, _) => Box::new(File::open(path)?),
            Self::Stdin => Box::new(io::stdin()),
        })
    }
}

/// What was found under the given paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// To read, in order.
    pub(super) inputs: Vec<Input>,
    /// Left out, because of their names.
    pub(super) left_out: Vec<PathBuf>,
}

/// Finds the files under `paths`. A file that is named itself is read whatever
/// its name is; in folders the name decides.
pub(super) fn find(paths: &[PathBuf]) -> io::Result<Found> {
    let mut found = Found::default();
    let mut folders = BTreeSet::new();
    for path in paths {
        if path.as_os_str() == "-" {
            found.inputs.push(Input::Stdin);
            continue;
        }
        let about = fs::metadata(path).map_err(|e| named(path, &e))?;
        if about.is_dir() {
            walk(path, &mut found, &mut folders)?;
        } else {
            found.inputs.push(Input::File(path.clone(), about.len()));
        }
    }
    Ok(found)
}

/// The same error, with the file's name.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn walk(folder: &Path, found: &mut Found, seen: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    // A link that leads back up would never end.
    if !seen.insert(fs::canonicalize(folder).map_err(|e| named(folder, &e))?) {
        return Ok(());
    }
    let mut entries = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|e| e.map(|e| e.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(|e| named(folder, &e))?;
    entries.sort();
    for path in entries {
        let about = fs::metadata(&path).map_err(|e| named(&path, &e))?;
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().to_ascii_lowercase())
            .unwrap_or_default();
        if name.starts_with('.') || is_about_files(&name) {
            continue;
        }
        if about.is_dir() {
            walk(&path, found, seen)?;
        } else if about.is_file() && is_readable(&name) {
            found.inputs.push(Input::File(path, about.len()));
        } else {
            found.left_out.push(path);
        }
    }
    Ok(())
}

/// Files that come with every data set and hold none of it.
fn is_about_files(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    matches!(
        stem,
        "license" | "licence" | "readme" | "notice" | "copying"
    ) && !name.ends_with(".json")
}

fn is_readable(name: &str) -> bool {
    let plain = name
        .strip_suffix(".gz")
        .or_else(|| name.strip_suffix(".zst"))
        .unwrap_or(name);
    let compressed = plain.len() < name.len();
    [".json", ".ndjson", ".jsonl", ".log"]
        .iter()
        .any(|end| plain.ends_with(end))
        // CloudTrail's own files may be called anything.gz.
        || compressed && !plain.ends_with(".tar")
}

/// How the content has to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// An event a line.
    Lines,
    /// One document, or several that are no lines.
    Document,
}

/// An input whose first bytes were looked at.
pub(super) struct Opened {
    /// Everything, decompressed, from the start.
    pub(super) reader: Box<dyn Read + Send>,
    /// How it was compressed.
    pub(super) encoding: Option<Encoding>,
    /// How it has to be cut.
    pub(super) shape: Shape,
}

const LOOK: usize = 64 << 10;

impl Opened {
    /// Looks at the first bytes. An error here lies in the content.
    pub(super) fn new(mut plain: Box<dyn Read + Send>) -> io::Result<Self> {
        let magic = take_some(&mut plain, 4)?;
        let encoding = encoding_of(&magic);
        let whole = Cursor::new(magic).chain(plain);
        let mut reader: Box<dyn Read + Send> = match encoding {
            // CloudTrail and log shippers append one gzip member to another.
            Some(Encoding::Gzip) => {
                Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(whole)))
            }
            Some(Encoding::Zstd) => Box::new(zstd::stream::read::Decoder::new(whole)?),
            None => Box::new(whole),
        };
        let mut start = take_some(&mut reader, LOOK)?;
        if start.starts_with(b"\xef\xbb\xbf") {
            start.drain(..3);
        }
        let shape = shape_of(&start);
        Ok(Self {
            reader: Box::new(Cursor::new(start).chain(reader)),
            encoding,
            shape,
        })
    }
}

fn take_some(reader: &mut dyn Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// By the first bytes; names lie.
pub(super) fn encoding_of(start: &[u8]) -> Option<Encoding> {
    if start.starts_with(&[0x1f, 0x8b]) {
        Some(Encoding::Gzip)
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Some(Encoding::Zstd)
    } else {
        None
    }
}

/// Lines where the first line is an object by itself and not a wrapper; what
/// is no JSON counts as lines too, so that the server can keep each of them in
/// quarantine.
pub(super) fn shape_of(start: &[u8]) -> Shape {
    let start = start.trim_ascii_start();
    match start.first() {
        Some(b'[') => return Shape::Document,
        Some(b'{') => {}
        _ => return Shape::Lines,
    }
    let inner = start[1..].trim_ascii_start();
    if inner.starts_with(b"\"Records\"") {
        return Shape::Document;
    }
    match memchr::memchr(b'\n', start) {
        Some(end) if serde_json::from_slice::<serde::de::IgnoredAny>(&start[..end]).is_ok() => {
            Shape::Lines
        }
        // A document written over several lines goes on where its first line
        // ends. A torn line is followed by the next event.
        Some(end) if opens_document(&start[..end], &start[end..]) => Shape::Document,
        Some(_) => Shape::Lines,
        // A line longer than the look: lines still, unless it is one document.
        None if start.len() + 4 < LOOK => Shape::Document,
        None => Shape::Lines,
    }
}

/// Whether a first line that is no whole object is the beginning of one that
/// goes on: what is missing is the end, not something within.
fn opens_document(line: &[u8], next: &[u8]) -> bool {
    let torn = next.trim_ascii_start().first() == Some(&b'{');
    match serde_json::from_slice::<serde::de::IgnoredAny>(line) {
        Err(error) => error.is_eof() && !torn,
        Ok(_) => false,
    }
}

#[cfg(test)]
mod tests;
