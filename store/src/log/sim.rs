//! A disk for tests: it forgets what was not synced, tears what it was writing
//! when the power went, and fails at the operation it is told to.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::files::{LogFile, LogFiles};

/// What a disk writes in one piece. Far smaller than real ones, so that every
/// frame spans several.
const SECTOR: usize = 32;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing is done.
    Refused,
    /// Some of it is done. A failed sync also forgets what it did not write:
    /// the pages look clean, and no later sync writes them.
    Torn,
    /// All of it is done, and yet reported as failed.
    Done,
    /// As `Torn`, and the process does nothing any more.
    Dead,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// The machine lives on, and with it what was written and not synced.
    Kill,
    /// What was not synced is there in part or not at all.
    PowerLoss,
}

#[derive(Debug, Default)]
struct Inode {
    now: Vec<u8>,
    disk: Vec<u8>,
    dirty: BTreeSet<usize>,
    len_dirty: bool,
}

#[derive(Clone, Debug)]
enum NameOp {
    Set(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending: Vec<NameOp>,
    seed: u64,
    epoch: u64,
    dead: bool,
    locked: bool,
    ops: usize,
    fault: Option<(usize, Fault)>,
    fired: bool,
    room: Option<u64>,
    held: bool,
    reads: usize,
    writes: usize,
    syncs: usize,
}

/// The disk. It outlives the processes that use it.
#[derive(Default)]
pub(super) struct Disk {
    state: Mutex<State>,
    gate: Condvar,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let disk = Self::default();
        disk.state.lock().seed = seed;
        Arc::new(disk)
    }

    /// A process that uses the disk. Those before it are dead.
    pub(super) fn process(self: &Arc<Self>) -> Arc<dyn LogFiles> {
        let epoch = self.state.lock().epoch;
        Arc::new(Process {
            disk: Arc::clone(self),
            epoch,
        })
    }

    /// The `n`-th operation from now on, counted from 0, fails.
    pub(super) fn fail_at(&self, n: usize, fault: Fault) {
        let mut state = self.state.lock();
        state.fault = Some((state.ops + n, fault));
        state.fired = false;
    }

    /// No more faults. The answer is whether there was one.
    pub(super) fn heal(&self) -> bool {
        let mut state = self.state.lock();
        state.fault = None;
        state.fired
    }

    /// Ends every process.
    pub(super) fn crash(&self, crash: Crash) {
        let mut state = self.state.lock();
        state.epoch += 1;
        state.dead = false;
        state.locked = false;
        if crash == Crash::PowerLoss {
            state.power_loss();
        }
    }

    /// Only so many more bytes fit.
    pub(super) fn room(&self, bytes: Option<u64>) {
        self.state.lock().room = bytes;
    }

    /// Makes every sync wait, until it is called again.
    pub(super) fn hold_syncs(&self, held: bool) {
        self.state.lock().held = held;
        self.gate.notify_all();
    }

    /// Reads, writes and syncs of files so far.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        (state.reads, state.writes, state.syncs)
    }

    /// The names there are.
    pub(super) fn names(&self) -> Vec<PathBuf> {
        self.state.lock().names.keys().cloned().collect()
    }

    /// Looks at or spoils a file, cache and platter.
    pub(super) fn edit<T>(&self, path: &Path, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut state = self.state.lock();
        let inode = state.names[path];
        let inode = &mut state.inodes[inode];
        let answer = act(&mut inode.now);
        inode.disk = inode.now.clone();
        answer
    }

    /// Takes a name away, durably.
    pub(super) fn unlink(&self, path: &Path) {
        let mut state = self.state.lock();
        state.names.remove(path);
        state.durable_names.remove(path);
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl State {
    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn coin(&mut self) -> bool {
        self.random() & 1 == 1
    }

    /// Writes some dirty sectors to the platter, in no order.
    fn write_back_some(&mut self, inode: usize) {
        let dirty: Vec<usize> = self.inodes[inode].dirty.iter().copied().collect();
        let adopt = self.coin();
        let chosen: Vec<usize> = dirty.into_iter().filter(|_| self.coin()).collect();
        let inode = &mut self.inodes[inode];
        if inode.len_dirty && adopt {
            inode.disk.resize(inode.now.len(), 0);
        }
        for sector in chosen {
            inode.write_back(sector);
        }
        inode.dirty.clear();
        inode.len_dirty = false;
    }

    fn power_loss(&mut self) {
        for inode in 0..self.inodes.len() {
            self.write_back_some(inode);
            self.inodes[inode].now = self.inodes[inode].disk.clone();
        }
        for op in std::mem::take(&mut self.pending) {
            if self.coin() {
                apply(&mut self.durable_names, op);
            }
        }
        self.names = self.durable_names.clone();
    }

    fn name(&mut self, op: NameOp) {
        apply(&mut self.names, op.clone());
        self.pending.push(op);
    }
}

impl Inode {
    fn write_back(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.now.len());
        if start < end {
            let len = self.disk.len().max(end);
            self.disk.resize(len, 0);
            self.disk[start..end].copy_from_slice(&self.now[start..end]);
        }
    }

    fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.write_back(sector);
        }
        if self.len_dirty {
            self.disk.resize(self.now.len(), 0);
            self.len_dirty = false;
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, op: NameOp) {
    match op {
        NameOp::Set(path, inode) => {
            names.insert(path, inode);
        }
        NameOp::Rename(from, to, inode) => {
            names.remove(&from);
            names.insert(to, inode);
        }
        NameOp::Remove(path) => {
            names.remove(&path);
        }
    }
}

#[derive(Debug)]
struct Process {
    disk: Arc<Disk>,
    epoch: u64,
}

#[derive(Debug)]
struct Handle {
    process: Process,
    inode: usize,
}

#[derive(Debug)]
struct Lock(Process);

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.0.disk.state.lock();
        if state.epoch == self.0.epoch {
            state.locked = false;
        }
    }
}

fn broken() -> io::Error {
    io::Error::other("simulated")
}

impl Process {
    fn again(&self) -> Process {
        Process {
            disk: Arc::clone(&self.disk),
            epoch: self.epoch,
        }
    }

    /// Counts an operation and does it, in whole, in part or not at all.
    fn act<T>(
        &self,
        whole: impl FnOnce(&mut State) -> io::Result<T>,
        part: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        let mut state: MutexGuard<'_, State> = self.disk.state.lock();
        if state.epoch != self.epoch || state.dead {
            return Err(broken());
        }
        let fault = state.fault.filter(|(at, _)| *at == state.ops);
        state.ops += 1;
        let Some((_, fault)) = fault else {
            return whole(&mut state);
        };
        state.fired = true;
        match fault {
            Fault::Refused => {}
            Fault::Done => drop(whole(&mut state)),
            Fault::Torn => part(&mut state),
            Fault::Dead => {
                part(&mut state);
                state.dead = true;
            }
        }
        Err(broken())
    }
}

impl LogFiles for Process {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.act(|_| Ok(()), |_| {})
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Any + Send>> {
        let mut state = self.disk.state.lock();
        if state.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked = true;
        Ok(Box::new(Lock(self.again())))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = |s: &mut State| {
            let inside = s.names.keys().filter(|p| p.parent() == Some(dir));
            let names = inside.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned()));
            Ok(names.collect())
        };
        self.act(names, |_| {})
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let make = |s: &mut State| {
            if s.room == Some(0) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            s.inodes.push(Inode::default());
            let inode = s.inodes.len() - 1;
            s.name(NameOp::Set(path.to_owned(), inode));
            Ok(inode)
        };
        let part = |s: &mut State| drop(make(s));
        let inode = self.act(make, part)?;
        Ok(Arc::new(Handle {
            process: self.again(),
            inode,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let find = |s: &mut State| {
            let inode = s.names.get(path).copied();
            inode.ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        let inode = self.act(find, |_| {})?;
        Ok(Arc::new(Handle {
            process: self.again(),
            inode,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let act = |s: &mut State| {
            let inode = *s.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            s.name(NameOp::Rename(from.to_owned(), to.to_owned(), inode));
            Ok(())
        };
        self.act(act, |s| drop(act(s)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let act = |s: &mut State| {
            if !s.names.contains_key(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            s.name(NameOp::Remove(path.to_owned()));
            Ok(())
        };
        self.act(act, |s| drop(act(s)))
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let whole = |s: &mut State| {
            for op in std::mem::take(&mut s.pending) {
                apply(&mut s.durable_names, op);
            }
            Ok(())
        };
        let part = |s: &mut State| {
            for op in s.pending.clone() {
                if s.coin() {
                    apply(&mut s.durable_names, op);
                }
            }
        };
        self.act(whole, part)
    }
}

impl Handle {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.process.disk.state.lock();
        while state.held {
            self.process.disk.gate.wait(&mut state);
        }
        state.syncs += 1;
        drop(state);
        self.process.act(
            |s| {
                s.inodes[self.inode].sync();
                Ok(())
            },
            |s| s.write_back_some(self.inode),
        )
    }
}

fn put(inode: &mut Inode, bytes: &[u8], at: usize) {
    if bytes.is_empty() {
        return;
    }
    let end = at + bytes.len();
    if end > inode.now.len() {
        inode.now.resize(end, 0);
        inode.len_dirty = true;
    }
    inode.now[at..end].copy_from_slice(bytes);
    inode.dirty.extend(at / SECTOR..=(end - 1) / SECTOR);
}

impl LogFile for Handle {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let act = |s: &mut State| {
            s.reads += 1;
            let bytes = s.inodes[self.inode].now.get(at as usize..);
            let bytes = bytes.and_then(|b| b.get(..into.len()));
            into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        };
        self.process.act(act, |_| {})
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let at = at as usize;
        self.process.act(
            |s| {
                s.writes += 1;
                let room = s.room.unwrap_or(u64::MAX).min(bytes.len() as u64);
                put(&mut s.inodes[self.inode], &bytes[..room as usize], at);
                if let Some(left) = &mut s.room {
                    *left -= room;
                }
                if (room as usize) < bytes.len() {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                Ok(())
            },
            |s| {
                let len = s.random() as usize % (bytes.len() + 1);
                put(&mut s.inodes[self.inode], &bytes[..len], at);
            },
        )
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let act = |s: &mut State| {
            let inode = &mut s.inodes[self.inode];
            inode.now.resize(len as usize, 0);
            inode.len_dirty = true;
            Ok(())
        };
        self.process.act(act, |s| drop(act(s)))
    }

    fn size(&self) -> io::Result<u64> {
        self.process
            .act(|s| Ok(s.inodes[self.inode].now.len() as u64), |_| {})
    }
}
