//! One process' way to the store, on which operations go wrong by a plan.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, UploadPart,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::seed::{Fault, Kind, Plan, Rng};
use crate::world::{Effect, World, told};

/// An object store that fails on purpose. Clones are the same process.
#[derive(Clone, Debug)]
pub struct FaultStore(Arc<Process>);

#[derive(Debug)]
struct Process {
    world: World,
    name: String,
    state: Mutex<State>,
    dead: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    rng: Rng,
    operations: usize,
    of_kind: HashMap<Kind, usize>,
    /// Operations before this one are answered with 503.
    storm_until: usize,
    /// Nothing of the process happens before.
    stalled_until: Option<Instant>,
    faults: usize,
}

impl FaultStore {
    pub(crate) fn new(world: World, name: &str, plan: Plan, rng: Rng) -> Self {
        Self(Arc::new(Process {
            world,
            name: name.to_owned(),
            state: Mutex::new(State {
                plan,
                rng,
                operations: 0,
                of_kind: HashMap::new(),
                storm_until: 0,
                stalled_until: None,
                faults: 0,
            }),
            dead: watch::Sender::new(false),
        }))
    }

    /// The process dies now.
    pub fn kill(&self) {
        self.0.dead.send_replace(true);
    }

    /// Whether it is dead.
    pub fn is_dead(&self) -> bool {
        *self.0.dead.borrow()
    }

    /// Returns when the process dies.
    pub async fn died(&self) {
        let mut dead = self.0.dead.subscribe();
        // The sender lives as long as `self`.
        let _ = dead.wait_for(|dead| *dead).await;
    }

    /// Operations so far.
    pub fn operations(&self) -> usize {
        self.0.state.lock().operations
    }

    /// Puts so far.
    pub fn puts(&self) -> usize {
        self.0
            .state
            .lock()
            .of_kind
            .get(&Kind::Put)
            .copied()
            .unwrap_or(0)
    }

    /// Faults so far.
    pub fn faults(&self) -> usize {
        self.0.state.lock().faults
    }

    /// From now on nothing goes wrong any more.
    pub fn heal(&self) {
        let mut state = self.0.state.lock();
        state.plan = Plan::none();
        state.storm_until = 0;
    }

    /// Waits for as long as the process stands still; for ever once it is dead.
    async fn gate(&self) -> Result<()> {
        loop {
            if self.is_dead() {
                return self.never().await;
            }
            let until = self.0.state.lock().stalled_until;
            match until {
                Some(until) if until > Instant::now() && self.0.world.is_here() => {
                    tokio::time::sleep_until(until).await;
                }
                _ => return Ok(()),
            }
        }
    }

    /// What a dead process gets: nothing. A thread that keeps no time cannot
    /// be left waiting, for somebody waits for it; it gets an error, and its
    /// process nothing more.
    async fn never(&self) -> Result<()> {
        match self.0.world.is_here() {
            true => std::future::pending().await,
            false => Err(failed("the process is dead")),
        }
    }

    /// Begins an operation: time passes, what is due lands, and the plan says
    /// what goes wrong.
    async fn begin(&self, kind: Kind, path: &Path) -> Result<Option<Fault>> {
        self.gate().await?;
        let (number, of_kind, mut rng) = {
            let mut state = self.0.state.lock();
            let number = state.operations;
            state.operations += 1;
            let count = state.of_kind.entry(kind).or_default();
            let of_kind = *count;
            *count += 1;
            let rng = state.rng.fork(&number.to_string());
            (number, of_kind, rng)
        };
        self.0.world.pass_time(&mut rng).await;
        self.gate().await?;
        self.0.world.step().await;
        let (fault, stormed) = {
            let mut state = self.0.state.lock();
            let fault = state.plan.decide(kind, number, of_kind);
            if let Some(Fault::SlowDown(more)) = fault {
                state.storm_until = number + 1 + more;
            }
            let stormed = number < state.storm_until;
            state.faults += usize::from(fault.is_some() || stormed);
            (fault, stormed)
        };
        let world = &self.0.world;
        world.note(format!(
            "{:>10} {number:>4} {kind:?} {path}{}",
            self.0.name,
            fault.map_or(String::new(), |f| format!(" !! {f:?}"))
        ));
        if stormed {
            return Err(failed("503 SlowDown"));
        }
        match fault {
            Some(Fault::Slow(millis)) if world.is_here() => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                self.gate().await?;
                Ok(None)
            }
            Some(Fault::StallBefore(millis)) => {
                self.stall(millis);
                self.gate().await?;
                Ok(None)
            }
            Some(Fault::DieBefore) => {
                self.kill();
                self.never().await?;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    fn stall(&self, millis: u64) {
        let until = Instant::now() + Duration::from_millis(millis);
        self.0.state.lock().stalled_until = Some(until);
    }

    /// An operation that changes something.
    async fn change(
        &self,
        kind: Kind,
        path: &Path,
        creates: bool,
        effect: Effect,
    ) -> Result<Option<PutResult>> {
        let world = &self.0.world;
        let exists = || Error::AlreadyExists {
            path: path.to_string(),
            source: "made to fail".into(),
        };
        match self.begin(kind, path).await? {
            Some(Fault::Before | Fault::Missing) => Err(failed("made to fail")),
            Some(Fault::ExistsNot) if creates => Err(exists()),
            Some(Fault::ExistsNot) => Err(failed("409")),
            Some(Fault::ExistsOwn) if creates => {
                world.apply(effect).await?;
                Err(exists())
            }
            Some(Fault::After | Fault::ExistsOwn) => {
                let ended = world.apply(effect).await;
                world.note(format!("           although: {}", told(&ended)));
                Err(failed("made to fail"))
            }
            Some(Fault::Late(after)) => {
                world.send(after, effect);
                Err(failed("timed out"))
            }
            Some(Fault::DieAfter) => {
                let ended = world.apply(effect).await;
                world.note(format!("           although: {}", told(&ended)));
                self.kill();
                self.never().await?;
                Ok(None)
            }
            Some(Fault::DieLate(after)) => {
                world.send(after, effect);
                self.kill();
                self.never().await?;
                Ok(None)
            }
            Some(Fault::StallAfter(millis)) => {
                let ended = world.apply(effect).await;
                self.stall(millis);
                self.gate().await?;
                ended
            }
            _ => {
                let ended = world.apply(effect).await;
                if let Err(error) = &ended {
                    world.note(format!("           refused: {error}"));
                }
                ended
            }
        }
    }

    async fn look(&self, kind: Kind, path: &Path) -> Result<Option<Fault>> {
        match self.begin(kind, path).await? {
            Some(Fault::Before | Fault::After | Fault::Late(_)) => Err(failed("made to fail")),
            Some(Fault::ExistsNot | Fault::ExistsOwn) => Err(failed("500")),
            Some(Fault::DieAfter | Fault::DieLate(_)) => {
                self.kill();
                self.never().await?;
                Ok(None)
            }
            Some(Fault::StallAfter(millis)) => {
                self.stall(millis);
                self.gate().await?;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    async fn listed(&self, prefix: Option<&Path>) -> Result<Vec<ObjectMeta>> {
        let root = Path::default();
        let fault = self.look(Kind::List, prefix.unwrap_or(&root)).await?;
        let mut all = self.0.world.list(prefix).await?;
        if let Some(Fault::StaleList(newest)) = fault {
            let mut by_age: Vec<_> = all
                .iter()
                .map(|m| (m.last_modified, m.location.clone()))
                .collect();
            by_age.sort();
            let missed: Vec<_> = by_age
                .into_iter()
                .rev()
                .take(newest)
                .map(|(_, l)| l)
                .collect();
            all.retain(|m| !missed.contains(&m.location));
        }
        Ok(all)
    }
}

pub(crate) fn failed(what: &'static str) -> Error {
    Error::Generic {
        store: "FaultStore",
        source: what.into(),
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.0.name)
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let creates = opts.mode == PutMode::Create;
        let effect = Effect::Put(location.clone(), payload, opts);
        let result = self.change(Kind::Put, location, creates, effect).await?;
        result.ok_or_else(|| failed("no answer"))
    }

    /// The parts are kept here; finishing is one put of the whole.
    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let options = PutOptions {
            tags: opts.tags,
            attributes: opts.attributes,
            extensions: opts.extensions,
            ..PutOptions::default()
        };
        Ok(Box::new(Upload {
            store: self.clone(),
            location: location.clone(),
            options,
            parts: Vec::new(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let kind = match options.head {
            true => Kind::Head,
            false => Kind::Get,
        };
        let fault = self.look(kind, location).await?;
        if fault == Some(Fault::Missing) {
            return Err(Error::NotFound {
                path: location.to_string(),
                source: "made to fail".into(),
            });
        }
        let range = options.range.clone();
        let mut result = self.0.world.store().get_opts(location, options).await?;
        result.meta = self.0.world.dated(result.meta);
        if kind == Kind::Head {
            return Ok(result);
        }
        let (meta, span, attributes) = (
            result.meta.clone(),
            result.range.clone(),
            result.attributes.clone(),
        );
        let mut bytes = result.bytes().await?;
        match fault {
            Some(Fault::Truncated) => bytes.truncate(bytes.len() / 2),
            Some(Fault::Flipped) if !bytes.is_empty() => {
                let mut wrong = bytes.to_vec();
                let mut rng = self.0.state.lock().rng.fork(&format!("{location}"));
                let at = usize::try_from(rng.below(wrong.len() as u64)).unwrap_or(0);
                wrong[at] ^= 1 << rng.below(8);
                bytes = Bytes::from(wrong);
            }
            Some(Fault::Stale) if range.is_none() => {
                bytes = self.0.world.before(location).unwrap_or(bytes);
            }
            _ => {}
        }
        let body = futures::stream::once(futures::future::ready(Ok(bytes)));
        Ok(GetResult {
            payload: GetResultPayload::Stream(body.boxed()),
            meta,
            range: span,
            attributes,
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        locations
            .then(move |location| {
                let this = this.clone();
                async move {
                    let location = location?;
                    let effect = Effect::Delete(location.clone());
                    this.change(Kind::Delete, &location, false, effect).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        let all = async move { this.listed(prefix.as_ref()).await };
        let all = all.map(|all| all.map(|all| futures::stream::iter(all).map(Ok)));
        futures::stream::once(all).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let root = Path::default();
        self.look(Kind::List, prefix.unwrap_or(&root)).await?;
        self.0.world.store().list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let whole = self
            .0
            .world
            .store()
            .get_opts(from, GetOptions::default())
            .await?;
        let mode = match options.mode {
            CopyMode::Create => PutMode::Create,
            CopyMode::Overwrite => PutMode::Overwrite,
        };
        let payload = PutPayload::from_bytes(whole.bytes().await?);
        self.put_opts(to, payload, mode.into()).await.map(|_| ())
    }
}

#[derive(Debug)]
struct Upload {
    store: FaultStore,
    location: Path,
    options: PutOptions,
    parts: Vec<Bytes>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.push(data.into());
        futures::future::ready(Ok(())).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload: PutPayload = self.parts.iter().cloned().collect();
        self.store
            .put_opts(&self.location, payload, self.options.clone())
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}
