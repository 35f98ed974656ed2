//! Opens the index, whatever a crash or a hand has left in its folder.
//!
//! ```text
//! lock          held while the index, or work of it, lives
//! seen.json     the manifest
//! runs/         <n>.run, and <n>.tmp while one is written
//! aside/        what was found unfit; Cairn never reads it again
//! ```

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_schemas::Position;

use super::cut::Cut;
use super::error::SeenError;
use super::key::Slot;
use super::manifest::{self, Listed, Manifest};
use super::memtable::Memtable;
use super::run::{BlockBuffer, Fault, Run};
use super::write::run_name;
use super::{SeenIndex, SeenOptions};

pub(super) const RUNS: &str = "runs";
const ASIDE: &str = "aside";

/// A file that was moved to `aside/`, or was found missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it had been.
    pub file: PathBuf,
    /// What was wrong.
    pub why: String,
}

impl SeenIndex {
    /// Opens the index in `folder`, which is made if need be. Blocks on the disk.
    ///
    /// Unfit files are set aside, told in [`set_aside`](Self::set_aside), and
    /// answered for by a `covered` that has gone back; they are no error.
    pub fn open(folder: &Path, mut options: SeenOptions) -> Result<Self, SeenError> {
        options.memtable_entries = options.memtable_entries.max(1);
        let runs = folder.join(RUNS);
        fs::create_dir_all(&runs).map_err(SeenError::io("create", &runs))?;
        let lock = Arc::new(lock(folder)?);
        let mut index = Self {
            folder: folder.to_owned(),
            lock,
            partitions: Vec::new(),
            slots: HashMap::new(),
            reached: Cut::default(),
            committed: Cut::default(),
            active: Memtable::new(Cut::default(), 0),
            frozen: VecDeque::new(),
            runs: Vec::new(),
            next_run: 1,
            flushing: false,
            merging: Vec::new(),
            doomed: Vec::new(),
            buffer: BlockBuffer::default(),
            set_aside: Vec::new(),
            must_reopen: false,
            stop: Arc::default(),
            options,
        };
        let found = match Manifest::read(folder)? {
            Some(Ok(manifest)) => Some(manifest),
            Some(Err(why)) => {
                index.put_aside(&folder.join(manifest::NAME), why)?;
                None
            }
            None => None,
        };
        let listed = found.is_some();
        if let Some(manifest) = found {
            index.load(manifest)?;
        }
        index.tidy(&runs, listed)?;
        index.heed_history()?;
        let room = index.options.memtable_entries;
        index.active = Memtable::new(index.reached.clone(), room);
        if !index.set_aside.is_empty() {
            index.write_manifest()?;
        }
        Ok(index)
    }

    fn load(&mut self, manifest: Manifest) -> Result<(), SeenError> {
        for partition in &manifest.partitions {
            self.slot(partition)?;
        }
        self.reached = self.cut(&manifest.covered)?;
        for listed in &manifest.runs {
            let from = self.cut(&listed.from)?;
            let path = self.folder.join(RUNS).join(run_name(listed.id, "run"));
            match open_listed(&path, listed, from.clone(), self.partitions.len()) {
                Ok(run) => self.runs.push(Arc::new(run)),
                Err(Fault::Bad(why)) => {
                    self.put_aside(&path, why)?;
                    self.reached = self.reached.meet(&from);
                }
                Err(Fault::Io(error)) => return Err(SeenError::io("read", &path)(error)),
            }
        }
        Ok(())
    }

    /// Removes what a crash left unlisted; sets aside what is not ours, and
    /// every run where there was no manifest to explain it.
    fn tidy(&mut self, folder: &Path, listed: bool) -> Result<(), SeenError> {
        let live: BTreeSet<PathBuf> = self.runs.iter().map(|run| run.path.clone()).collect();
        let entries = fs::read_dir(folder).map_err(SeenError::io("list", folder))?;
        for entry in entries {
            let path = entry.map_err(SeenError::io("list", folder))?.path();
            let Some(id) = id_of(&path) else {
                self.put_aside(&path, "it is no file of the index")?;
                continue;
            };
            self.next_run = self.next_run.max(id.saturating_add(1));
            if live.contains(&path) {
                continue;
            }
            let whole = path.extension().is_some_and(|e| e == "run");
            if whole && !listed {
                self.put_aside(&path, "no manifest lists it")?;
            } else {
                fs::remove_file(&path).map_err(SeenError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Sets aside every run that knows more than history has committed: the
    /// folder is of another history, or of one that was restored since.
    fn heed_history(&mut self) -> Result<(), SeenError> {
        let Some(committed) = self.options.committed.clone() else {
            self.committed = self.reached.clone();
            return Ok(());
        };
        self.committed = self.cut(&committed)?;
        let history = self.committed.clone();
        let beyond = |run: &Arc<Run>| {
            let mut ends = run.footer.ends.iter().enumerate();
            ends.any(|(slot, end)| {
                // Slots fit: a run with more than the manifest's was refused.
                u16::try_from(slot).is_ok_and(|slot| history.of(Slot(slot)) < *end)
            })
        };
        let (ahead, kept): (Vec<_>, Vec<_>) = self.runs.drain(..).partition(beyond);
        self.runs = kept;
        for run in ahead {
            self.put_aside(&run.path, "it holds more than history has committed")?;
            self.reached = self.reached.meet(&run.from);
        }
        self.reached = self.reached.meet(&history);
        Ok(())
    }

    fn cut(&mut self, position: &Position) -> Result<Cut, SeenError> {
        let mut cut = Cut::default();
        for (partition, next) in &position.0 {
            let slot = self.slot(partition)?;
            cut.advance(slot, *next);
        }
        Ok(cut)
    }

    fn put_aside(&mut self, path: &Path, why: &str) -> Result<(), SeenError> {
        move_aside(&self.folder, path)?;
        self.note_set_aside(path.to_owned(), why);
        Ok(())
    }
}

/// Moves `path` to `aside/`. That it is not there any more is fine.
pub(super) fn move_aside(folder: &Path, path: &Path) -> Result<(), SeenError> {
    let aside = folder.join(ASIDE);
    fs::create_dir_all(&aside).map_err(SeenError::io("create", &aside))?;
    let Some(name) = path.file_name() else {
        return Ok(());
    };
    match fs::rename(path, aside.join(name)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(SeenError::io("set aside", path)(e)),
        _ => Ok(()),
    }
}

fn lock(folder: &Path) -> Result<File, SeenError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(SeenError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SeenError::InUse {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(SeenError::io("lock", &path)(error)),
    }
}

fn open_listed(path: &Path, listed: &Listed, from: Cut, slots: usize) -> Result<Run, Fault> {
    let run = match Run::open(path, listed.id, from) {
        Err(Fault::Io(e)) if e.kind() == io::ErrorKind::NotFound => {
            return Err(Fault::Bad("it is missing"));
        }
        Err(Fault::Io(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(Fault::Bad("it was cut short"));
        }
        other => other?,
    };
    if (run.footer.entries, run.footer_crc) != (listed.entries, listed.footer_crc) {
        return Err(Fault::Bad("it is not the run that the manifest lists"));
    }
    if run.footer.ends.len() > slots {
        return Err(Fault::Bad(
            "it names a partition that the manifest does not list",
        ));
    }
    Ok(run)
}

/// The number in the name of a run, whole or not.
fn id_of(path: &Path) -> Option<u64> {
    let extension = path.extension()?.to_str()?;
    let stem = path.file_stem()?.to_str()?;
    let ours = matches!(extension, "run" | "tmp") && stem.len() == 16;
    u64::from_str_radix(stem, 16).ok().filter(|_| ours)
}
