//! The manifest: what an export consists of, and of what it was made.
//!
//! It is written last, so that without it there is no export, and in one form
//! only (RFC 8785: keys in order, no white space), so that its hash is that of
//! what it says. Its own hash lies beside it, for people to hand on by another
//! way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The manifest's name.
pub const MANIFEST: &str = "manifest.json";
/// The name of the file with its hash, in the form of `sha256sum`.
pub const MANIFEST_SUM: &str = "manifest.json.sha256";
/// The name that is kept for a signature over the manifest's bytes.
pub const MANIFEST_SIGNATURE: &str = "manifest.json.sig";

/// The version of the form that is written here.
pub const FORM: u32 = 1;
/// What every manifest says it is.
pub const KIND: &str = "cairn-export";

/// Longer manifests are not read: ten million files would fit.
pub const MOST_BYTES: u64 = 2 << 30;

/// See `docs/exports.md`. Fields that are not known are kept out: a reader that
/// overlooks what it does not know would call good what it did not check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`KIND`].
    pub kind: String,
    /// [`FORM`].
    pub form: u32,
    /// The program that wrote it.
    pub cairn: String,
    /// The export's id.
    pub id: String,
    /// When it was asked for, RFC 3339.
    pub created: String,
    /// When its rows were taken, RFC 3339.
    pub as_of: String,
    /// When it was finished, RFC 3339.
    pub finished: String,
    /// Whose events these are.
    pub organization: Organization,
    /// Who asked.
    pub principal: Principal,
    /// What was asked.
    pub question: Question,
    /// The tables that were read.
    pub tables: Vec<TableState>,
    /// `parquet`, `csv`, `ndjson`, `cloudtrail` or `actiontrail`.
    pub format: String,
    /// What was done to values on their way into the files.
    pub options: Options,
    /// The columns of the answer.
    pub columns: Vec<Column>,
    /// Rows in all files.
    pub rows: u64,
    /// Rows of the answer that are in no file: events of another dialect than
    /// that of the format.
    pub left_out: u64,
    /// Every file, in the order of its rows.
    pub files: Vec<File>,
}

/// Whose events these are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// Its name.
    pub name: String,
    /// Its management account.
    pub management_account: String,
}

/// Who asked, as they stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The token's id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Its role.
    pub role: String,
    /// The accounts that it may read; null for all.
    pub accounts: Option<Vec<String>>,
    /// The columns that it may not see, which are empty in the files.
    pub withheld: Vec<String>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The statement that was run.
    pub sql: String,
    /// The filter that it was made of, where there was one.
    pub filter: Option<Filter>,
}

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The accounts; null for all that may be read.
    pub accounts: Option<Vec<String>>,
    /// Events from then on, RFC 3339.
    pub from: Option<String>,
    /// Events before, RFC 3339.
    pub until: Option<String>,
    /// The trail; null for history.
    pub trail: Option<String>,
}

/// A table, and the state of it that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableState {
    /// `history`, `trails.NAME`, and so on.
    pub name: String,
    /// Which state of it, as answers tell it and `AS OF` takes it; null for
    /// tables that have no states.
    pub state: Option<Value>,
}

/// What was done to values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// `zstd`, `gzip` or `none`.
    pub compression: String,
    /// Whether an apostrophe was put before cells that a spreadsheet would
    /// run; null in formats that have no cells.
    pub neutralised: Option<bool>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow calls it.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its place below the manifest's folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The rows in it.
    pub rows: u64,
    /// The SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not these fields.
    #[error("it is no manifest: {0}")]
    Form(String),
    /// Of a later version.
    #[error("its form is {0}, and this program knows form {FORM}: use a newer one")]
    Newer(u32),
    /// The same content in another form.
    #[error("it is not in the canonical form (RFC 8785)")]
    NotCanonical,
    /// A file's name that leads elsewhere.
    #[error("the name {0:?} leads out of the export")]
    Name(String),
    /// One name twice.
    #[error("the name {0:?} is there twice")]
    Twice(String),
    /// The numbers do not add up.
    #[error("it tells of {told} rows, and of its files together {counted}")]
    Rows {
        /// In all.
        told: u64,
        /// Of the files together.
        counted: u64,
    },
}

impl Manifest {
    /// The bytes to write.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = Vec::new();
        canonical(&serde_json::to_value(self)?, &mut out)?;
        Ok(out)
    }

    /// Understands and checks what was written. Whatever passes was written by
    /// [`Manifest::to_bytes`], byte for byte.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let form = |e: serde_json::Error| ManifestError::Form(e.to_string());
        #[derive(Deserialize)]
        struct Head {
            kind: String,
            form: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(form)?;
        if head.kind != KIND {
            return Err(ManifestError::Form(format!("its kind is not {KIND}")));
        }
        if head.form != FORM {
            return Err(ManifestError::Newer(head.form));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(form)?;
        if manifest.to_bytes().map_err(form)? != bytes {
            return Err(ManifestError::NotCanonical);
        }
        let mut names = BTreeMap::new();
        for file in &manifest.files {
            if !is_inside(&file.name) {
                return Err(ManifestError::Name(file.name.clone()));
            }
            // What differs in case alone is one file on some disks.
            if names.insert(file.name.to_ascii_lowercase(), ()).is_some() {
                return Err(ManifestError::Twice(file.name.clone()));
            }
        }
        let counted = manifest
            .files
            .iter()
            .fold(0u64, |sum, file| sum.saturating_add(file.rows));
        if counted != manifest.rows {
            let told = manifest.rows;
            return Err(ManifestError::Rows { told, counted });
        }
        Ok(manifest)
    }
}

/// Whether `name` is a file below the export's folder: parts of letters,
/// digits and a few signs, none of them `.` or `..`, and not a name of the
/// manifest's own.
pub fn is_inside(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let part =
        |p: &str| !p.is_empty() && p.len() <= 255 && !p.starts_with('.') && p.bytes().all(legal);
    name.len() <= 1024
        && name.split('/').all(part)
        && ![MANIFEST, MANIFEST_SUM, MANIFEST_SIGNATURE].contains(&name)
}

/// Lower-case hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// RFC 8785 for what manifests hold: whole numbers, texts, lists, objects with
/// ASCII keys.
fn canonical(value: &Value, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    match value {
        Value::Object(fields) => {
            // Sorted here: whether the map is depends on features of the
            // library that others may turn on.
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            out.push(b'{');
            for (n, (name, value)) in sorted.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name)?;
                out.push(b':');
                canonical(value, out)?;
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                canonical(item, out)?;
            }
            out.push(b']');
        }
        plain => serde_json::to_writer(&mut *out, plain)?,
    }
    Ok(())
}

#[cfg(test)]
pub(in crate::export) mod tests;
