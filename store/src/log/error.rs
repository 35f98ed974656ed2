//! What can go wrong with the log, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the log did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The disk would not do it now. Nothing was acknowledged; try again
    /// later. The log goes on by itself once the disk does.
    #[error("the log is unavailable: {doing} {} failed: {reason}; {hint}", path.display())]
    Unavailable {
        /// What was tried.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system said.
        reason: Arc<io::Error>,
        /// What the operator can do.
        hint: &'static str,
    },
    /// Bytes that were durable are not what was written. Nobody but the
    /// operator can help; the log does not guess.
    #[error(
        "the log is damaged: {} at byte {at}: {what}; restore this file from a copy, or move the whole folder away and begin a new log at an offset that no table has reached",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// The records asked for were removed by a trim: a gap, which the caller
    /// must not skip in silence.
    #[error("the log begins at offset {start}; offset {asked} was trimmed")]
    Trimmed {
        /// The offset asked for.
        asked: i64,
        /// The first offset kept.
        start: i64,
    },
    /// The position lies beyond what the log holds: the log was replaced by an
    /// older or an empty one, or the position belongs to another log.
    #[error(
        "the log ends at offset {end}, before the position {asked}; was its folder replaced by an older copy? put the newest one back, or begin a new log at offset {asked}"
    )]
    Ahead {
        /// The offset asked for.
        asked: i64,
        /// The next offset of the log.
        end: i64,
    },
    /// One append is too large. Send fewer events at once.
    #[error(
        "the events take {bytes} bytes in the log, the limit for one append is {limit}; send fewer at once"
    )]
    TooLarge {
        /// What they would take.
        bytes: u64,
        /// `LogOptions::max_frame_bytes`.
        limit: usize,
    },
    /// Another process, or another handle in this one, has the folder open.
    #[error("the log in {} is in use; stop the other cairn that has it open", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// The log was closed. Nothing was acknowledged.
    #[error("the log is closed; start cairn again")]
    Closed,
}

impl LogError {
    /// An operation that the disk refused.
    pub(super) fn io(doing: &'static str, path: &Path, reason: io::Error) -> Self {
        Self::Unavailable {
            doing,
            path: path.to_owned(),
            hint: hint(&reason),
            reason: Arc::new(reason),
        }
    }

    /// Damage in `file`.
    pub(super) fn damaged(file: &Path, at: u64, what: impl ToString) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            at,
            what: what.to_string(),
        }
    }
}

fn hint(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there, the log then goes on by itself"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the disk is read-only, often after an error: see the kernel's messages, then remount it"
        }
        io::ErrorKind::PermissionDenied => "let cairn's user write there",
        _ if too_many_files(reason) => "raise the limit of open files (ulimit -n)",
        _ => "check the disk; the log tries again with the next append",
    }
}

fn too_many_files(reason: &io::Error) -> bool {
    let code = reason.raw_os_error();
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}
