//! What a table's log amounts to at one version: its files, its tombstones and
//! its transactions. Grown entry by entry; [`super::log`] reads and writes the
//! entries.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use cairn_schemas::time::parse_date;
use cairn_schemas::{Partition, Position};
use deltalake_core::kernel::{Add, Remove, Transaction};
use object_store::path::Path;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::facts;
use super::pledge::{PLEDGED, Pledge};
use crate::view::DataFile;

/// One line of a log entry, or one row of a checkpoint. Actions that mean
/// nothing to Cairn are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Line {
    add: Option<Add>,
    remove: Option<Remove>,
    txn: Option<Transaction>,
    #[serde(rename = "metaData")]
    metadata: Option<Metadata>,
    protocol: Option<Protocol>,
    #[serde(rename = "commitInfo")]
    commit_info: Option<Value>,
}

/// The part of `metaData` that Cairn goes by.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) id: String,
    pub(super) schema_string: String,
    pub(super) partition_columns: Vec<String>,
    pub(super) configuration: BTreeMap<String, Option<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Protocol {
    pub(super) min_reader_version: i32,
    pub(super) min_writer_version: i32,
}

/// One log entry, parsed.
#[derive(Debug)]
pub(super) struct Entry {
    lines: Vec<Line>,
    pledge: Option<Pledge>,
}

/// The key of `commitInfo` that holds the commit's own id.
pub(super) const COMMIT_ID: &str = "cairnCommitId";
/// The key of `commitInfo` that holds how many lines follow it.
pub(super) const COMMIT_LINES: &str = "cairnLines";
/// The key of `commitInfo` that holds [`entry_hash`].
pub(super) const COMMIT_SHA256: &str = "cairnSha256";
/// The key of `commitInfo` that holds a [`Pledge`], as text.
pub(super) const COMMIT_PLEDGE: &str = "cairnPledge";
/// The key of `commitInfo` that holds the hash of that text.
pub(super) const COMMIT_PLEDGE_SHA256: &str = "cairnPledgeSha256";

/// The hash by which an entry is known to be as it was put: of the commit's id
/// and the lines after the first, byte for byte.
pub(super) fn entry_hash(id: Option<&str>, lines: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(id.unwrap_or_default());
    hash.update(b"\n");
    hash.update(lines);
    hex::encode(hash.finalize())
}

impl Entry {
    /// Parses an entry, and checks that it is whole.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let lines: Vec<Line> = serde_json::Deserializer::from_slice(bytes)
            .into_iter::<Line>()
            .collect::<Result<_, _>>()
            .map_err(|e| format!("not JSON: {e}"))?;
        let mut entry = Self {
            lines,
            pledge: None,
        };
        if entry.lines.is_empty() {
            return Err("empty".to_owned());
        }
        let promised = entry
            .commit_info()
            .and_then(|info| info.get(COMMIT_LINES)?.as_u64());
        if promised.is_some_and(|n| n != entry.lines.len() as u64 - 1) {
            return Err("cut short".to_owned());
        }
        // A bit may be wrong in the very name by which the hash is found.
        let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        let id = COMMIT_ID.as_bytes();
        if entry.commit_info().is_none() && first.windows(id.len()).any(|w| w == id) {
            return Err("not as it was put".to_owned());
        }
        let promised = entry
            .commit_info()
            .and_then(|info| info.get(COMMIT_SHA256)?.as_str());
        if let Some(promised) = promised {
            let first = bytes.iter().position(|b| *b == b'\n');
            let rest = first.map_or(&[][..], |at| &bytes[at + 1..]);
            if entry_hash(entry.commit_id(), rest) != promised {
                return Err("not as it was put".to_owned());
            }
        }
        entry.pledge = entry.parse_pledge()?;
        Ok(entry)
    }

    fn parse_pledge(&self) -> Result<Option<Pledge>, String> {
        let of = |key: &str| self.commit_info()?.get(key)?.as_str();
        let wrong = || "not as it was put: its pledge".to_owned();
        let Some(text) = of(COMMIT_PLEDGE) else {
            // The lines that say how far is pledged are covered by the hash.
            let pledges = |l: &Line| l.txn.as_ref().is_some_and(|t| pledges(&t.app_id));
            return match self.commit_id().is_some() && self.lines.iter().any(pledges) {
                true => Err(wrong()),
                false => Ok(None),
            };
        };
        let hash = entry_hash(self.commit_id(), text.as_bytes());
        if of(COMMIT_PLEDGE_SHA256) != Some(&*hash) {
            return Err(wrong());
        }
        serde_json::from_str(text).map_err(|_| wrong()).map(Some)
    }

    /// What it pledges another table.
    pub(super) fn pledge(&self) -> Option<&Pledge> {
        self.pledge.as_ref()
    }

    fn commit_info(&self) -> Option<&Value> {
        self.lines.iter().find_map(|l| l.commit_info.as_ref())
    }

    /// When it was made, in milliseconds, by the committer's clock.
    pub(super) fn time(&self) -> Option<i64> {
        self.commit_info()?.get("timestamp")?.as_i64()
    }

    /// The id that the committer gave it; `None` for other engines' commits.
    pub(super) fn commit_id(&self) -> Option<&str> {
        self.commit_info()?.get(COMMIT_ID)?.as_str()
    }
}

fn pledges(app: &str) -> bool {
    app.strip_prefix(PLEDGED)
        .is_some_and(|rest| rest.starts_with(':'))
}

/// A file that the table lists.
#[derive(Debug)]
pub(super) struct LiveFile {
    pub(super) add: Add,
    pub(super) file: DataFile,
}

/// A table at one version.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) version: i64,
    /// By path under the table's folder.
    pub(super) files: BTreeMap<String, Arc<LiveFile>>,
    /// Removed files and when, in milliseconds; objects may still lie there.
    pub(super) removed: BTreeMap<String, i64>,
    pub(super) txns: BTreeMap<String, i64>,
    pub(super) metadata: Metadata,
    pub(super) protocol: Protocol,
    /// The ids of the newest commits that were taken in one by one.
    pub(super) landed: VecDeque<String>,
}

/// How many commits' ids are kept: a committer whose own lies further back
/// learns only that the table has moved.
const IDS_KEPT: usize = 1_000;

impl State {
    /// Whether the commit `id` is known to be in the table. `false` says nothing
    /// where it may lie far back, or where the table was read anew since.
    pub(super) fn has_landed(&self, id: &str) -> bool {
        self.landed.iter().rev().any(|known| known == id)
    }

    /// Takes one more entry in, whole or not at all.
    pub(super) fn apply(&mut self, root: &Path, version: i64, entry: Entry) -> Result<(), String> {
        let id = entry.commit_id().map(str::to_owned);
        let mut adds = Vec::new();
        let mut rest = Vec::new();
        for line in entry.lines {
            match line.add {
                Some(add) => adds.push(live_file(root, add)?),
                None => rest.push(line),
            }
        }
        // A remove and an add of one path in one entry leave the file live.
        for line in rest {
            if let Some(remove) = line.remove {
                self.files.remove(&remove.path);
                self.removed
                    .insert(remove.path, remove.deletion_timestamp.unwrap_or(0));
            }
            if let Some(txn) = line.txn {
                self.txns.insert(txn.app_id, txn.version);
            }
            if let Some(metadata) = line.metadata {
                self.metadata = metadata;
            }
            if let Some(protocol) = line.protocol {
                self.protocol = protocol;
            }
        }
        for live in adds {
            self.removed.remove(&live.add.path);
            self.files.insert(live.add.path.clone(), Arc::new(live));
        }
        self.landed.extend(id);
        if self.landed.len() > IDS_KEPT {
            self.landed.pop_front();
        }
        self.version = version;
        Ok(())
    }

    /// Takes the rows of a checkpoint in, as one entry.
    pub(super) fn from_checkpoint(
        root: &Path,
        version: i64,
        json_lines: &[u8],
    ) -> Result<Self, String> {
        let mut state = Self::default();
        let entry = Entry::parse(json_lines)?;
        state.apply(root, version, entry)?;
        if state.metadata.schema_string.is_empty() {
            return Err("no metaData in it".to_owned());
        }
        Ok(state)
    }

    /// The files as readers see them, in the order of their paths: by day,
    /// then by place in the log.
    pub(super) fn data_files(&self) -> Vec<DataFile> {
        self.files.values().map(|live| live.file.clone()).collect()
    }

    /// Where the table stands, by the transactions whose ids begin with `prefix:`.
    pub(super) fn position(&self, prefix: &str) -> Position {
        let mut position = Position::default();
        for (app, version) in &self.txns {
            let partition = app
                .strip_prefix(prefix)
                .and_then(|rest| Partition::try_from(rest.strip_prefix(':')?.to_owned()).ok());
            if let Some(partition) = partition {
                position.0.insert(partition, *version);
            }
        }
        position
    }
}

fn live_file(root: &Path, add: Add) -> Result<LiveFile, String> {
    if add.deletion_vector.is_some() {
        return Err(format!(
            "{} has a deletion vector, so another engine deleted rows of it",
            add.path
        ));
    }
    let day = add
        .partition_values
        .get(cairn_schemas::columns::PARTITION_COLUMN)
        .and_then(|v| parse_date(v.as_deref()?))
        .ok_or_else(|| format!("{} has no ingest_date", add.path))?;
    let relative = Path::parse(&add.path).map_err(|e| e.to_string())?;
    let mut file = DataFile {
        path: under(root, &relative),
        size: u64::try_from(add.size).unwrap_or(0),
        rows: 0,
        ingest_date: day,
        event_time: None,
        ingest_time: None,
        offsets: Vec::new(),
        accounts: None,
    };
    facts::read_back(&mut file, add.stats.as_deref(), add.tags.as_ref());
    Ok(LiveFile { add, file })
}

/// `relative` below `root`.
pub(super) fn under(root: &Path, relative: &Path) -> Path {
    root.parts().chain(relative.parts()).collect()
}
