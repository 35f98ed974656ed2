//! The world that processes share: the objects, what is on its way to them,
//! and the time.
//!
//! Time is the paused clock of tokio: it moves when nobody has anything to do,
//! and hours pass in microseconds. Every operation takes at least one
//! millisecond of its own, so that no two happen at the same moment and one
//! seed gives one order.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::seed::{Plan, Rng};
use crate::store::FaultStore;

/// 2040-06-21T12:00:00Z in microseconds, when every world begins: after any
/// real clock, which the Delta kernel asks when it forgets tombstones.
pub const DAWN: i64 = 2_224_065_600_000_000;

/// The shared part of a schedule. Cheap to clone.
#[derive(Clone, Debug)]
pub struct World(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ObjectStore>,
    /// The thread whose runtime keeps the time. Operations of other threads
    /// (the Delta kernel has its own) take no time: the clock stands still
    /// while they run.
    thread: ThreadId,
    start: Instant,
    /// Whether operations take time.
    timed: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    operations: u64,
    on_the_way: Vec<OnTheWay>,
    past: HashMap<Path, Past>,
    /// Milliseconds at which an operation happens.
    taken: BTreeSet<u64>,
    trace: Vec<String>,
}

#[derive(Clone, Debug)]
struct Past {
    landed: DateTime<Utc>,
    /// What lay there before it was overwritten.
    before: Option<Bytes>,
    now: Option<Bytes>,
}

/// What happens in spite of having failed.
#[derive(Debug)]
pub(crate) enum Effect {
    Put(Path, PutPayload, PutOptions),
    Delete(Path),
}

#[derive(Debug)]
struct OnTheWay {
    due: u64,
    effect: Effect,
}

impl World {
    /// A world over an empty store in memory, in which every operation takes
    /// time. Has to be made inside of a runtime with a paused clock.
    pub fn new() -> Self {
        Self::over(Arc::new(InMemory::new()), true)
    }

    /// A world over `store`; where not `timed`, operations take no time.
    pub fn over(store: Arc<dyn ObjectStore>, timed: bool) -> Self {
        Self(Arc::new(Inner {
            store,
            thread: std::thread::current().id(),
            start: Instant::now(),
            timed,
            state: Mutex::default(),
        }))
    }

    /// The store as it is, for who checks it: no faults, no time.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.0.store
    }

    /// A process' way to the store. Its operations go wrong by `plan`.
    pub fn process(&self, name: &str, plan: Plan, rng: &Rng) -> FaultStore {
        FaultStore::new(self.clone(), name, plan, rng.fork(name))
    }

    /// What time it is, in microseconds since 1970.
    pub fn now(&self) -> i64 {
        let passed = self.0.start.elapsed().as_micros();
        DAWN.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    /// Lets everything land that is still on its way.
    pub async fn settle(&self) {
        self.land(true).await;
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.0.state.lock().operations
    }

    /// What happened, operation by operation: for who looks for the cause.
    pub fn trace(&self) -> String {
        self.0.state.lock().trace.join("\n")
    }

    pub(crate) fn note(&self, line: String) {
        self.0.state.lock().trace.push(line);
    }

    /// Whether the caller runs on the thread that keeps the time.
    pub(crate) fn is_here(&self) -> bool {
        std::thread::current().id() == self.0.thread
    }

    /// Passes time until a moment of the operation's own.
    pub(crate) async fn pass_time(&self, rng: &mut Rng) {
        if !self.0.timed || !self.is_here() {
            return;
        }
        let at = {
            let mut state = self.0.state.lock();
            let passed = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
            let mut at = passed + 1 + rng.below(20);
            while !state.taken.insert(at) {
                at += 1;
            }
            state.taken = state.taken.split_off(&passed);
            at
        };
        tokio::time::sleep_until(self.0.start + Duration::from_millis(at)).await;
    }

    /// Counts an operation, and lets land what is due before it.
    pub(crate) async fn step(&self) {
        self.0.state.lock().operations += 1;
        self.land(false).await;
    }

    async fn land(&self, all: bool) {
        loop {
            let due = {
                let mut state = self.0.state.lock();
                let now = state.operations;
                let at = state.on_the_way.iter().position(|o| all || o.due <= now);
                at.map(|at| state.on_the_way.remove(at).effect)
            };
            let Some(effect) = due else { return };
            let what = match &effect {
                Effect::Put(path, _, _) => format!("put {path}"),
                Effect::Delete(path) => format!("delete {path}"),
            };
            let ended = self.apply(effect).await;
            self.note(format!("           late: {what}: {}", told(&ended)));
        }
    }

    pub(crate) fn send(&self, after: u64, effect: Effect) {
        let mut state = self.0.state.lock();
        let due = state.operations + after;
        state.on_the_way.push(OnTheWay { due, effect });
    }

    pub(crate) async fn apply(&self, effect: Effect) -> Result<Option<PutResult>> {
        match effect {
            Effect::Put(path, payload, options) => {
                let bytes: Bytes = payload.clone().into();
                let result = self.0.store.put_opts(&path, payload, options).await?;
                let landed = DateTime::from_timestamp_micros(self.now()).unwrap_or_default();
                let mut state = self.0.state.lock();
                let before = state.past.get(&path).and_then(|p| p.now.clone());
                let past = Past {
                    landed,
                    before,
                    now: Some(bytes),
                };
                state.past.insert(path, past);
                Ok(Some(result))
            }
            Effect::Delete(path) => {
                let ended = self.0.store.delete(&path).await;
                self.0.state.lock().past.remove(&path);
                ended.map(|()| None)
            }
        }
    }

    /// What lay at `path` before it was last overwritten.
    pub(crate) fn before(&self, path: &Path) -> Option<Bytes> {
        self.0.state.lock().past.get(path)?.before.clone()
    }

    /// `meta` with the time at which the object landed in this world. One that
    /// another thread lists between its landing and its dating landed now: by
    /// the machine's own clock it would be the oldest of all, and a list that
    /// lacks the newest would lack those before it instead.
    pub(crate) fn dated(&self, mut meta: ObjectMeta) -> ObjectMeta {
        if self.0.timed {
            let landed = self
                .0
                .state
                .lock()
                .past
                .get(&meta.location)
                .map(|p| p.landed);
            let now = || DateTime::from_timestamp_micros(self.now()).unwrap_or_default();
            meta.last_modified = landed.unwrap_or_else(now);
        }
        meta
    }

    pub(crate) async fn list(&self, prefix: Option<&Path>) -> Result<Vec<ObjectMeta>> {
        let mut all: Vec<ObjectMeta> = self.0.store.list(prefix).try_collect().await?;
        all.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(all.into_iter().map(|meta| self.dated(meta)).collect())
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

pub(crate) fn told<T>(ended: &Result<T>) -> String {
    match ended {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}
