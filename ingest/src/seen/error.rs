//! Why the index could not do what it was asked.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the index. Its files are derived from history, so none of
/// these loses an event: see each for the way on.
#[derive(Debug, thiserror::Error)]
pub enum SeenError {
    /// The disk refused. Nothing is forgotten; the same call may be repeated.
    #[error(
        "duplicate index: cannot {doing} {path:?}: {source}. If this stays so, stop cairn and \
         delete the index's folder: it is rebuilt from history"
    )]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or unfinished work of this one, holds the folder.
    #[error(
        "duplicate index: {path:?} is in use: stop the other cairn on this data folder, \
         or wait for its work to end"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A run does not read as it was written. It has been set aside. Open the
    /// index again and restore history from `covered`.
    #[error(
        "duplicate index: {file:?} is damaged ({why}) and was set aside: restart to rebuild it from history"
    )]
    Damaged {
        /// The file, under its old name.
        file: PathBuf,
        /// What was found.
        why: &'static str,
    },
    /// A run was found damaged earlier; answers would have a hole.
    #[error("duplicate index: a damaged file was set aside: restart to rebuild it from history")]
    MustReopen,
    /// More partitions than an entry can name.
    #[error(
        "duplicate index: more than 32768 partitions: spread the topics over several cairn processes"
    )]
    TooManyPartitions,
    /// The work was told to stop. It left nothing behind.
    #[error("duplicate index: the work was stopped")]
    Stopped,
}

impl SeenError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}
