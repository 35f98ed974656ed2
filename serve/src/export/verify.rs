//! Whether an export is whole and as it was written: every file there with its
//! size, its hash and its rows, and nothing beside them.

mod source;

use std::collections::BTreeMap;

use super::count;
use super::manifest::{MANIFEST, MANIFEST_SIGNATURE, MANIFEST_SUM, MOST_BYTES, Manifest, sha256};
pub use source::{Bucket, Entry, Folder, Source, SourceError};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The export's id, where its manifest could be read.
    pub id: Option<String>,
    /// The manifest's own hash.
    pub manifest_sha256: Option<String>,
    /// Files that the manifest names.
    pub files: u64,
    /// Rows that the manifest names.
    pub rows: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// What is wrong, each with the object's name.
    pub invalid: Vec<Invalid>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The object.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_valid(&self) -> bool {
        self.invalid.is_empty()
    }

    fn add(&mut self, name: &str, why: impl Into<String>) {
        self.invalid.push(Invalid {
            name: name.to_owned(),
            why: why.into(),
        });
    }
}

/// Checks the export in `source`. `handed` is the manifest's hash as it was
/// handed over by another way: without it, whoever can write all of the
/// export's objects can make another export of it.
pub async fn verify(source: &dyn Source, handed: Option<&str>) -> Result<Report, SourceError> {
    let mut there: BTreeMap<String, Entry> = source
        .list()
        .await?
        .into_iter()
        .map(|entry| (entry.name.clone(), entry))
        .collect();
    let mut report = Report::default();
    let Some(manifest) = manifest(source, &mut there, handed, &mut report).await? else {
        return Ok(report);
    };
    report.id = Some(manifest.id.clone());
    report.rows = manifest.rows;
    for file in &manifest.files {
        report.files += 1;
        report.bytes = report.bytes.saturating_add(file.bytes);
        let name = &file.name;
        let Some(entry) = there.remove(name) else {
            report.add(name, "it is missing");
            continue;
        };
        if let Some(why) = refuse(&entry, file.bytes) {
            report.add(name, why);
            continue;
        }
        let bytes = source.read(name).await?;
        let found = sha256(&bytes);
        if found != file.sha256 {
            let why = format!(
                "its SHA-256 is {found}, and the manifest has {}",
                file.sha256
            );
            report.add(name, why);
            continue;
        }
        // The hash first: nothing else of a strange file is read.
        match count::rows(&manifest.format, &bytes) {
            Ok(rows) if rows == file.rows => {}
            Ok(rows) => report.add(
                name,
                format!("it has {rows} rows, and the manifest has {}", file.rows),
            ),
            Err(why) => report.add(name, format!("its rows cannot be counted: {why}")),
        }
    }
    for (name, entry) in &there {
        // A signature is checked by whoever has its key.
        if name != MANIFEST_SIGNATURE {
            let what = if entry.is_plain {
                "file"
            } else {
                "link or the like"
            };
            report.add(name, format!("the manifest names no such {what}"));
        }
    }
    Ok(report)
}

/// Takes the manifest and its hash's file out of `there`.
async fn manifest(
    source: &dyn Source,
    there: &mut BTreeMap<String, Entry>,
    handed: Option<&str>,
    report: &mut Report,
) -> Result<Option<Manifest>, SourceError> {
    let sum = there.remove(MANIFEST_SUM);
    let Some(entry) = there.remove(MANIFEST) else {
        report.add(
            MANIFEST,
            "it is missing: this is no export, or one that was never finished",
        );
        return Ok(None);
    };
    if let Some(why) = refuse(&entry, entry.bytes) {
        report.add(MANIFEST, why);
        return Ok(None);
    }
    let bytes = source.read(MANIFEST).await?;
    let found = sha256(&bytes);
    report.manifest_sha256 = Some(found.clone());
    if let Some(handed) = handed.filter(|handed| !handed.eq_ignore_ascii_case(&found)) {
        report.add(
            MANIFEST,
            format!("its SHA-256 is {found}, and {handed} was handed over"),
        );
    }
    match sum {
        None => report.add(MANIFEST_SUM, "it is missing"),
        Some(sum) if refuse(&sum, sum.bytes).is_some() || sum.bytes > 1024 => {
            report.add(MANIFEST_SUM, "it is no file with a hash");
        }
        Some(_) => {
            let said = source.read(MANIFEST_SUM).await?;
            if said != sum_text(&found).as_bytes() {
                report.add(
                    MANIFEST,
                    format!("its SHA-256 is {found}, and {MANIFEST_SUM} has another"),
                );
            }
        }
    }
    match Manifest::from_bytes(&bytes) {
        Ok(manifest) if count::is_known(&manifest.format) => Ok(Some(manifest)),
        Ok(manifest) => {
            report.add(
                MANIFEST,
                format!("its format {:?} is not known", manifest.format),
            );
            Ok(None)
        }
        Err(error) => {
            report.add(MANIFEST, error.to_string());
            Ok(None)
        }
    }
}

/// The text of the file with the manifest's hash, as `sha256sum` writes it.
pub fn sum_text(sha256: &str) -> String {
    format!("{sha256}  {MANIFEST}\n")
}

/// Why `entry` is not read.
fn refuse(entry: &Entry, bytes: u64) -> Option<String> {
    if !entry.is_plain {
        return Some("it is a link or the like, and no plain file".to_owned());
    }
    if entry.bytes != bytes {
        return Some(format!(
            "it has {} bytes, and the manifest has {bytes}",
            entry.bytes
        ));
    }
    (entry.bytes > MOST_BYTES)
        .then(|| format!("it is larger than {MOST_BYTES} bytes, which no export writes"))
}

#[cfg(test)]
mod tests;
