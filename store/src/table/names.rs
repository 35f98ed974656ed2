//! The names of a table's data files: made here, recognised here, and nowhere
//! else.
//!
//! Whatever lies in a store by another name is somebody else's, and the vacuum
//! leaves it alone: a table may have been put above another one, or at the
//! root of a bucket that holds more.

use cairn_schemas::time::{date_text, parse_date};
use sha2::{Digest, Sha256};

/// Where a day's folder begins.
const DAY_FOLDER: &str = "ingest_date=";

/// `ingest_date=<day>/<first>-<next>-<table>-<commit>-<number>.parquet`, in
/// which `<table>` is the table's own mark and `<commit>` the commit's id.
#[derive(Clone, Debug)]
pub(super) struct DataNames {
    table: String,
}

/// What tells the files of one table and one commit apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataName<'a> {
    pub(super) day: i32,
    /// The first range of the log that the rows come from.
    pub(super) span: (i64, i64),
    /// The commit's id: 32 hexadecimal digits.
    pub(super) commit: &'a str,
    pub(super) number: usize,
}

impl DataNames {
    /// The names of the table that Delta knows by `table_id`. The id is any
    /// text, for another engine may have given it; its mark is 16 digits.
    pub(super) fn new(table_id: &str) -> Self {
        let hash = Sha256::digest(table_id.as_bytes());
        Self {
            table: hex::encode(&hash[..8]),
        }
    }

    /// The path of a file under the table's folder.
    pub(super) fn path(&self, name: DataName<'_>) -> String {
        let DataName {
            day,
            span: (first, next),
            commit,
            number,
        } = name;
        let (date, table) = (date_text(day), &self.table);
        format!("{DAY_FOLDER}{date}/{first:012}-{next:012}-{table}-{commit}-{number}.parquet")
    }

    /// Whether `path`, under the table's folder, is one that [`Self::path`]
    /// makes for this table.
    pub(super) fn made(&self, path: &str) -> bool {
        // Made again from its parts: what differs in a single byte is not ours.
        parse(path).is_some_and(|name| self.path(name) == path)
    }
}

fn parse(path: &str) -> Option<DataName<'_>> {
    let (folder, file) = path.split_once('/')?;
    let day = parse_date(folder.strip_prefix(DAY_FOLDER)?)?;
    let mut parts = file.strip_suffix(".parquet")?.split('-');
    let first = parts.next()?.parse().ok()?;
    let next = parts.next()?.parse().ok()?;
    let _table = parts.next()?;
    let commit = parts.next()?;
    let number = parts.next()?.parse().ok()?;
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let whole = parts.next().is_none() && commit.len() == 32 && commit.bytes().all(hex);
    whole.then_some(DataName {
        day,
        span: (first, next),
        commit,
        number,
    })
}

/// Whether `name` is that of a folder right under a table's own that only the
/// table writes to.
pub(super) fn is_own_folder(name: &str) -> bool {
    let day = name.strip_prefix(DAY_FOLDER).and_then(parse_date);
    name == "_delta_log" || day.is_some_and(|day| name[DAY_FOLDER.len()..] == date_text(day))
}

#[cfg(test)]
mod tests;
