//! Exports: rows or events that leave Cairn as files, with a manifest that
//! others can check. The document of one; what its files say is not here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::control::{Principal, Role};
use crate::ids::{AccountId, TrailName};
use crate::selector::Among;
use crate::time::Micros;
use crate::withhold::Withheld;

/// The form of an export's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// Parquet, zstd.
    Parquet,
    /// RFC 4180, with a header in each file.
    Csv,
    /// One JSON object a row, gzip.
    Ndjson,
    /// The received bytes of CloudTrail's events as CloudTrail delivers them.
    CloudTrail,
    /// The received bytes of ActionTrail's events as ActionTrail delivers them.
    ActionTrail,
}

impl ExportFormat {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::CloudTrail => "cloudtrail",
            Self::ActionTrail => "actiontrail",
        }
    }

    /// Whether its files hold the received bytes of events, and nothing else.
    pub fn is_delivery(self) -> bool {
        matches!(self, Self::CloudTrail | Self::ActionTrail)
    }
}

/// Which events, where no SQL says it. All criteria must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportFilter {
    /// Of these accounts; of all that the principal may read where it is empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accounts: BTreeSet<AccountId>,
    /// That happened then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Micros>,
    /// That happened before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Micros>,
    /// From this trail's table instead of history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trail: Option<TrailName>,
}

/// Where an export stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportState {
    /// Waits for a place.
    Queued,
    /// Files are written.
    Running,
    /// All files are written; the manifest is about to be.
    Finishing,
    /// The manifest is there.
    Done,
    /// It broke off; what was written is gone. It may be resumed.
    Failed,
    /// Somebody took it back; what was written is gone.
    Canceled,
}

impl ExportState {
    /// As the interface shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finishing => "finishing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether somebody works on it, or will.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::Finishing)
    }
}

/// Who asked for an export, as they stood then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportOwner {
    /// The token's id.
    pub id: String,
    /// Its name, for people.
    pub name: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Over which accounts.
    pub accounts: Among<AccountId>,
    /// Which columns it may not see.
    #[serde(default)]
    pub withheld: Withheld,
    /// From which address it asked.
    pub address: String,
    /// What its program called itself.
    pub agent: String,
}

impl ExportOwner {
    /// For whoever decides what may be read.
    pub fn principal(&self) -> Principal {
        Principal {
            id: self.id.clone(),
            role: self.role,
            accounts: self.accounts.clone(),
            withheld: self.withheld.clone(),
        }
    }
}

/// Where an export's files go: a place that the settings allow, and the folder
/// below it that is the export's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportPlace {
    /// The allowed place, as the settings name it.
    pub root: String,
    /// Its S3 endpoint, where the settings name one with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The folder below: the principal's id first, the export's last.
    pub folder: String,
}

impl ExportPlace {
    /// The whole address.
    pub fn url(&self) -> String {
        format!("{}/{}", self.root, self.folder)
    }
}

/// What an export amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportAmount {
    /// Rows in files.
    pub rows: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Files, without the manifest.
    pub files: u64,
}

/// One version of an export's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// 1, 2, 3, …
    pub version: u64,
    /// When this version was made.
    pub at: Micros,
    /// The principal who made it.
    pub by: String,
    /// 32 hexadecimal digits.
    pub id: String,
    /// When it was asked for. Nothing that came in later is in it, where a
    /// filter chose its events.
    pub created: Micros,
    /// Who asked for it.
    pub owner: ExportOwner,
    /// The statement that is run.
    pub sql: String,
    /// The filter that it was made of, where there was one.
    #[serde(default)]
    pub filter: Option<ExportFilter>,
    /// The form of the files.
    pub format: ExportFormat,
    /// Whether CSV cells that a spreadsheet would run are neutralised.
    pub neutralise: bool,
    /// Where the files go.
    pub place: ExportPlace,
    /// Where it stands.
    pub state: ExportState,
    /// The process that works on it: the name of its log.
    pub node: String,
    /// How often it was begun.
    pub attempt: u32,
    /// The states of the tables that its first attempt read, by the tables'
    /// names: each attempt reads the same.
    #[serde(default)]
    pub states: Option<serde_json::Value>,
    /// What it amounted to, once it is done.
    #[serde(default)]
    pub amount: ExportAmount,
    /// SHA-256 of the manifest, once it is done.
    #[serde(default)]
    pub manifest_sha256: Option<String>,
    /// Why it failed: the code, and the text for people.
    #[serde(default)]
    pub error: Option<(String, String)>,
}
