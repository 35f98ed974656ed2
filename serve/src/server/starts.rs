//! Whether another process has the same log.
//!
//! Where processes share a store, each start has a number that history knows
//! ([`cairn_ingest::history`]), and the data folder keeps those that may be its
//! own. What history knows and the folder does not was started elsewhere: on a copy of this folder, or on this one before it was
//! restored from a backup. Either way its log and history part, and going on
//! would give the places of one's records to the other's.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cairn_ingest::history::{History, Standing};
use cairn_schemas::{IdSource, Partition, keys};
use cairn_store::log::EmbeddedLog;
use cairn_store::table::TableError;

use super::app::{Ambient, App};
use super::opening::check_log;

/// How often a start is tried while another process moves the log's place.
const TRIES: u32 = 20;
/// The lower bits of a start's number are chance, so that of two that count
/// on from the same one each knows its own.
const CHANCE: u32 = 31;

/// Checks that the log and the tables fit, notes this start in history, and
/// tells where the pipeline reads on.
pub(super) async fn begin(
    dir: &Path,
    log: &EmbeddedLog,
    own: &Partition,
    history: &History,
    ambient: &Ambient,
) -> anyhow::Result<i64> {
    for _ in 0..TRIES {
        let at = history.standing().await?;
        if !ambient.shared {
            return check_log(log, own, &at);
        }
        let known = read(dir)?;
        check_starts(dir, log, own, &at, &known)?;
        let committed = check_log(log, own, &at)?;
        let number = next(at.start(own), &known, ambient.ids.as_ref());
        // 1. The folder: the numbers that history may hold after a crash in 2.
        write(dir, at.start(own), number)?;
        // 2. History. From here on no older process commits.
        match history.claim(own, number, &at).await {
            Ok(()) => return Ok(committed),
            Err(TableError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!(
        "others commit for the log {own} all the time: another process runs on a copy of {}; stop it first",
        dir.display()
    )
}

fn check_starts(
    dir: &Path,
    log: &EmbeddedLog,
    own: &Partition,
    at: &Standing,
    known: &[i64],
) -> anyhow::Result<()> {
    let count = |number: i64| number >> CHANCE;
    let (last, newest) = (at.start(own), known.iter().copied().max().unwrap_or(0));
    // An older one is that of tables which were restored: whether the log fits
    // them is seen by its offsets.
    if last == 0 || known.contains(&last) || count(last) < count(newest) {
        return Ok(());
    }
    let (committed, end) = (at.history.of(own), log.end());
    bail!(
        "the data folder {} is a copy, or was restored from a backup: its log {} was started elsewhere since, \
         and going on would give the same places to different events. Start the folder that was in use last; \
         or give this process an empty --data folder. This folder's log ends at offset {end}, and history has \
         {committed} records of the other: what was acknowledged here alone has to be sent again",
        dir.display(),
        own.source
    )
}

/// The number of the start after all that are known.
fn next(last: i64, known: &[i64], ids: &dyn IdSource) -> i64 {
    let newest = known.iter().copied().fold(last, i64::max);
    let mut chance = [0u8; 4];
    ids.fill(&mut chance);
    let chance = i64::from(u32::from_le_bytes(chance) >> 1);
    (((newest >> CHANCE) + 1) << CHANCE) | chance
}

/// The starts that this folder knows.
fn read(dir: &Path) -> anyhow::Result<Vec<i64>> {
    let path = dir.join(keys::STARTS_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    let numbers: Result<Vec<i64>, _> = text.split_whitespace().map(str::parse).collect();
    numbers.with_context(|| {
        format!(
            "{} does not hold the numbers of starts; restore the data folder from a backup",
            path.display()
        )
    })
}

/// Durable before history knows of the start: a number that a crash takes
/// from the folder would look like another's.
fn write(dir: &Path, last: i64, number: i64) -> anyhow::Result<()> {
    let path = dir.join(keys::STARTS_FILE);
    let temporary = path.with_extension("new");
    let mut file = fs::File::create(&temporary)?;
    writeln!(file, "{last}\n{number}")?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    fs::File::open(dir)?.sync_all()?;
    Ok(())
}

/// Why a process ends that nobody told to.
#[derive(Debug, thiserror::Error)]
#[error(
    "the data folder {} was copied: another process was started on its log {} since, and this one has ended. \
     {stranded}. Give each process of a shared store a --data folder of its own, empty at first",
    dir.display(), log.source
)]
pub(super) struct Superseded {
    dir: PathBuf,
    log: Partition,
    stranded: String,
}

impl Superseded {
    /// Of a process whose log is closed.
    pub(super) fn of(app: &App) -> Self {
        let (from, to) = (app.history.committed().of(&app.partition), app.log.end());
        Self {
            dir: app.settings.data.dir.clone(),
            log: app.partition.clone(),
            stranded: match from < to {
                true => format!(
                    "What it acknowledged at the offsets {from} to {} is in no table: it lies in the folder's \
                     log/ alone, and has to be sent again",
                    to - 1
                ),
                false => "Everything that it acknowledged is in history".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
