//! A file that appears under its name only when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// Written beside its final place; dropped without [`PartFile::finish`] it is
/// removed.
#[derive(Debug)]
pub(super) struct PartFile {
    writer: BufWriter<File>,
    /// Where it lies now, and where it shall lie. Nothing for a device or a
    /// pipe, which is written in place: to rename over it would replace it.
    places: Option<(PathBuf, PathBuf)>,
}

impl PartFile {
    /// Begins `path`. An earlier file of that name stays until the end.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let cannot = || Failure::io(format!("cannot write {}", path.display()));
        // A link's target is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if fs::metadata(&path).is_ok_and(|about| !about.is_file()) {
            let file = OpenOptions::new()
                .write(true)
                .open(&path)
                .map_err(cannot())?;
            return Ok(Self {
                writer: BufWriter::new(file),
                places: None,
            });
        }
        let Some(name) = path.file_name() else {
            return Err(cannot()(io::ErrorKind::InvalidInput.into()));
        };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(hidden);
        let file = File::create(&part).map_err(cannot())?;
        Ok(Self {
            writer: BufWriter::new(file),
            places: Some((part, path)),
        })
    }

    /// Puts it in its place.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.writer.flush()?;
        if let Some((part, path)) = &self.places {
            self.writer.get_ref().sync_all()?;
            fs::rename(part, path)?;
            self.places = None;
        }
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.places {
            // What cannot be removed has a name that says it is a part.
            let _ = fs::remove_file(part);
        }
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
