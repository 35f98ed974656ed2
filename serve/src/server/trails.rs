//! The trails: made, changed, followed.
//!
//! Several processes may share a store. What one changes the others learn from
//! the documents ([`TrailSet::refresh`]); of two changes at once put-if-absent
//! lets one through.

mod change;
mod documents;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_ingest::deliver::{DeliverOptions, Follower, LogEnd, OpenTable};
use cairn_ingest::history::History;
use cairn_schemas::control::ControlKind;
use cairn_schemas::selector::Among;
use cairn_schemas::trail::{Trail, TrailVersion};
use cairn_schemas::{AccountId, Clock, IdSource, Position, TrailId, keys};
use cairn_store::control::{ControlStore, DocumentKey};
use cairn_store::objects::{self, ObjectSettings, OpenError};
use cairn_store::table::{Table, TableError, TableOptions, TableSpec};
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::http::error::ApiError;
use super::stores::Worm;
pub use change::{Change, NewTrail};
use documents::Documents;
pub use documents::EmbeddedEnd;

/// How trails reach their destinations.
#[derive(Debug)]
pub struct Opener {
    /// What the server's configuration says of S3, credentials among it.
    pub settings: ObjectSettings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids of commits.
    pub ids: Arc<dyn IdSource>,
    /// Told of each store that is opened.
    pub worm: Arc<Worm>,
    /// Whether the tables of new trails are outlined, that lie in the server's own store.
    pub outlined: bool,
}

#[async_trait]
impl OpenTable for Opener {
    async fn open(&self, trail: &TrailVersion) -> Result<Arc<Table>, TableError> {
        let mut settings = self.settings.clone();
        if let Some(endpoint) = &trail.destination.endpoint {
            settings.endpoint = Some(endpoint.clone());
        }
        if let Some(region) = &trail.destination.region {
            settings.region = Some(region.clone());
        }
        // A store that fakes put-if-absent would let two committers overwrite
        // each other: it is found out before it is trusted.
        let opened = objects::open_checked(&trail.destination.url, &settings, self.ids.as_ref());
        let opened = opened.await.map_err(|e| match e {
            OpenError::Unavailable { reason, .. } => TableError::Unavailable {
                table: trail.name.to_string(),
                action: "testing the store",
                reason,
            },
            e => TableError::Refused {
                table: trail.name.to_string(),
                reason: e.to_string(),
            },
        })?;
        // What is delivered to a place of somebody's own is for other engines,
        // which shall find in it what was received. Nobody but Cairn makes up a
        // folder with the trail's own id.
        let own = keys::trail_table(&trail.name, &trail.id);
        let outlined = self.outlined && trail.destination.url.ends_with(&own);
        let spec = TableSpec::events(trail.name.as_str())
            .with_property("cairn.trail_id", trail.id.as_str())
            .outlined(outlined);
        let options = TableOptions {
            position_prefix: "history".to_owned(),
            ..TableOptions::default()
        };
        let table = Table::open_or_create(
            &opened,
            spec,
            options,
            Arc::clone(&self.clock),
            Arc::clone(&self.ids),
        );
        let table = Arc::new(table.await?);
        self.worm.opened(Some(&trail.id), opened).await;
        Ok(table)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct TrailSet {
    control: ControlStore,
    documents: Arc<Documents>,
    ends: Arc<dyn LogEnd>,
    history: Arc<History>,
    opener: Arc<Opener>,
    options: DeliverOptions,
    /// The trails by id; one that was deleted stays until the server stops,
    /// for it still delivers what came before its end.
    followers: RwLock<BTreeMap<TrailId, Arc<Follower>>>,
    /// The trails that are there, by folded name.
    names: RwLock<BTreeMap<String, TrailId>>,
    /// Every trail that ever was, by id, with its folded name.
    ever: RwLock<BTreeMap<TrailId, String>>,
    /// What this store has and no other: part of the trails' ids.
    salt: String,
    /// Held while trails come and go, so that names and places stay unique.
    creating: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl TrailSet {
    /// Reads the trails' documents and begins to follow.
    pub async fn open(
        control: ControlStore,
        ends: Arc<dyn LogEnd>,
        history: Arc<History>,
        opener: Arc<Opener>,
        options: DeliverOptions,
        own_store: String,
        stop: CancellationToken,
    ) -> anyhow::Result<Arc<Self>> {
        let organization = control
            .versions(ControlKind::Organization, "organization")
            .await?;
        let salt = match organization.first() {
            Some(first) => control.get::<serde_json::Value>(first).await?.to_string(),
            None => String::new(),
        };
        let set = Arc::new(Self {
            documents: Arc::new(Documents::new(control.clone(), &own_store)),
            control,
            ends,
            history,
            opener,
            options,
            followers: RwLock::default(),
            names: RwLock::default(),
            ever: RwLock::default(),
            salt,
            creating: tokio::sync::Mutex::new(()),
            tasks: TaskTracker::new(),
            stop,
        });
        set.refresh(&set.control.keys().await?).await?;
        Ok(set)
    }

    /// Takes in what others changed, by the keys of all documents that there
    /// are. Reads only documents that are not known here.
    pub async fn refresh(&self, keys: &[DocumentKey]) -> anyhow::Result<()> {
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        for key in keys.iter().filter(|k| k.kind == ControlKind::Trail) {
            newest.insert(&key.id, key.version);
        }
        let mut failed = None;
        for (id, version) in newest {
            // One that cannot be read keeps nobody from the others.
            if let Err(error) = self.refresh_one(&TrailId::new(id)?, version, keys).await {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn refresh_one(
        &self,
        id: &TrailId,
        newest: u64,
        keys: &[DocumentKey],
    ) -> anyhow::Result<()> {
        let follower = self.followers.read().get(id).cloned();
        if follower.is_none() && self.ever.read().contains_key(id) {
            return Ok(());
        }
        let known = match &follower {
            Some(follower) => {
                let trail = follower.trail().read().await;
                // A follower may have learned of its end while it delivered.
                if trail.is_deleted() {
                    self.drop_name(&trail);
                }
                trail.latest().version
            }
            None => 0,
        };
        if newest <= known {
            return Ok(());
        }
        let mut versions: Vec<TrailVersion> = Vec::new();
        for key in keys
            .iter()
            .filter(|k| k.kind == ControlKind::Trail && k.id == id.as_str() && k.version > known)
        {
            versions.push(self.documents.get(key).await?);
        }
        match follower {
            Some(follower) => self.learn(&follower, versions).await,
            None => {
                let trail = Trail::new(versions)?;
                let _one_at_a_time = self.creating.lock().await;
                if !self.followers.read().contains_key(id) {
                    self.remember(trail);
                }
                Ok(())
            }
        }
    }

    /// Adds versions that others made to a trail that is followed here.
    async fn learn(
        &self,
        follower: &Arc<Follower>,
        versions: Vec<TrailVersion>,
    ) -> anyhow::Result<()> {
        follower.learn(versions).await?;
        let trail = follower.trail().read().await;
        if trail.is_deleted() {
            self.drop_name(&trail);
        }
        Ok(())
    }

    fn drop_name(&self, trail: &Trail) {
        let mut names = self.names.write();
        let name = trail.latest().name.folded();
        if names.get(&name) == Some(trail.id()) {
            names.remove(&name);
        }
    }

    /// Follows a trail whose documents were just read.
    fn remember(&self, trail: Trail) {
        // What a deleted trail had not delivered when the server stopped
        // goes with it; its table stays.
        if trail.is_deleted() {
            let name = trail.latest().name.folded();
            self.ever.write().insert(trail.id().clone(), name);
        } else {
            self.adopt(trail);
        }
    }

    fn adopt(&self, trail: Trail) -> Arc<Follower> {
        let (id, name) = (trail.id().clone(), trail.latest().name.folded());
        let opener: Arc<dyn OpenTable> = Arc::clone(&self.opener) as Arc<dyn OpenTable>;
        let clock = Arc::clone(&self.opener.clock);
        self.ever.write().insert(id.clone(), name.clone());
        let follower = Follower::new(
            trail,
            opener,
            Arc::clone(&self.documents) as Arc<dyn cairn_ingest::deliver::Versions>,
            Arc::clone(&self.history),
            clock,
            self.options.clone(),
        );
        self.followers
            .write()
            .insert(id.clone(), Arc::clone(&follower));
        self.names.write().insert(name, id);
        self.tasks
            .spawn(Arc::clone(&follower).run(self.stop.child_token()));
        follower
    }

    /// Every trail that is there, by name.
    pub fn all(&self) -> Vec<Arc<Follower>> {
        let (names, followers) = (self.names.read(), self.followers.read());
        names
            .values()
            .filter_map(|id| followers.get(id).cloned())
            .collect()
    }

    /// Every follower, those of deleted trails among them.
    pub fn followers(&self) -> Vec<Arc<Follower>> {
        self.followers.read().values().cloned().collect()
    }

    /// The names of the trails that are there, as they were given.
    pub fn folded_names(&self) -> Vec<String> {
        self.names.read().keys().cloned().collect()
    }

    /// The names of the trails that a reader of these accounts may be told of.
    pub async fn names_visible_to(&self, readable: &Among<AccountId>) -> Vec<String> {
        let mut names = Vec::new();
        for follower in self.all() {
            let trail = follower.trail().read().await;
            if trail.visible_to(readable) {
                names.push(trail.latest().name.folded());
            }
        }
        names
    }

    /// The trail with this name, whatever its case.
    pub fn find(&self, name: &str) -> Result<Arc<Follower>, ApiError> {
        let id = self.names.read().get(&name.to_ascii_lowercase()).cloned();
        id.and_then(|id| self.followers.read().get(&id).cloned())
            .ok_or_else(|| {
                ApiError::not_found(format!("there is no trail {name:?}"))
                    .hint("`cairn trail list` shows all trails")
            })
    }

    /// The least place from which a follower still needs rows in memory.
    pub async fn needed_from(&self) -> Option<Position> {
        let mut least: Option<Position> = None;
        for follower in self.followers() {
            let Some(from) = follower.needs_from().await else {
                continue;
            };
            least = Some(match least {
                None => from,
                Some(other) => lower(&other, &from),
            });
        }
        least
    }

    /// Returns once every trail has delivered what it takes below `target`.
    pub async fn flush(&self, target: &Position) -> Vec<(String, String)> {
        let mut failed = Vec::new();
        for follower in self.followers() {
            if let Err(error) = follower.flush(target).await {
                failed.push((
                    follower.trail().read().await.latest().name.to_string(),
                    error,
                ));
            }
        }
        failed
    }

    /// Waits until every follower has stopped; the stop token must be canceled.
    pub async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn lower(a: &Position, b: &Position) -> Position {
    let mut least = Position::default();
    for (partition, next) in a.0.iter().chain(&b.0) {
        let next = (*next).min(a.of(partition)).min(b.of(partition));
        least.advance(partition, next);
    }
    least
}

#[cfg(test)]
mod tests;
