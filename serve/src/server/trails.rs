//! The trails: made, changed, followed.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use cairn_ingest::deliver::{DeliverOptions, Follower, OpenTable};
use cairn_ingest::history::History;
use cairn_schemas::control::ControlKind;
use cairn_schemas::selector::{Among, Selector};
use cairn_schemas::trail::{Destination, Trail, TrailChange, TrailStatus, TrailVersion};
use cairn_schemas::{AccountId, Clock, IdSource, Partition, Position, TrailId, TrailName, keys};
use cairn_store::control::ControlStore;
use cairn_store::log::EmbeddedLog;
use cairn_store::objects::{self, ObjectSettings, OpenError};
use cairn_store::table::{Table, TableError, TableOptions, TableSpec};
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::http::error::ApiError;
use super::stores::Worm;

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
        let spec = TableSpec::events(trail.name.as_str())
            .with_property("cairn.trail_id", trail.id.as_str());
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

/// What is wanted of a new trail.
#[derive(Clone, Debug)]
pub struct NewTrail {
    /// Its name.
    pub name: TrailName,
    /// What it takes.
    pub selector: Selector,
    /// Where its table shall lie; a folder of the server's own where nothing is said.
    pub destination: Option<Destination>,
    /// Days to keep.
    pub retention_days: Option<u32>,
    /// Whether it delivers at once.
    pub start: bool,
    /// Whether it begins with what history holds already.
    pub backfill: bool,
}

/// What is wanted of an existing trail.
#[derive(Clone, Debug)]
pub enum Change {
    /// Another selector, another retention.
    Update {
        /// The version that the caller looked at.
        seen: u64,
        /// What the trail shall take.
        selector: Selector,
        /// How many days it shall keep.
        retention_days: Option<u32>,
    },
    /// Deliver.
    Start {
        /// Also what history holds already.
        backfill: bool,
    },
    /// Deliver no longer.
    Stop,
    /// Be gone.
    Delete,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct TrailSet {
    control: ControlStore,
    log: EmbeddedLog,
    history: Arc<History>,
    opener: Arc<Opener>,
    options: DeliverOptions,
    /// The URL of the server's own store.
    own_store: String,
    /// The trails by id; one that was deleted stays until the server stops,
    /// for it still delivers what came before its end.
    followers: RwLock<BTreeMap<TrailId, Arc<Follower>>>,
    /// The trails that are there, by folded name.
    names: RwLock<BTreeMap<String, TrailId>>,
    /// Held while a trail is made, so that names and places stay unique.
    creating: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl TrailSet {
    /// Reads the trails' documents and begins to follow.
    pub async fn open(
        control: ControlStore,
        log: EmbeddedLog,
        history: Arc<History>,
        opener: Arc<Opener>,
        options: DeliverOptions,
        own_store: String,
        stop: CancellationToken,
    ) -> anyhow::Result<Arc<Self>> {
        let set = Arc::new(Self {
            control,
            log,
            history,
            opener,
            options,
            own_store,
            followers: RwLock::default(),
            names: RwLock::default(),
            creating: tokio::sync::Mutex::new(()),
            tasks: TaskTracker::new(),
            stop,
        });
        let documents: BTreeMap<String, Vec<TrailVersion>> =
            set.control.load(ControlKind::Trail).await?;
        for versions in documents.into_values() {
            let trail = Trail::new(versions)?;
            // What a deleted trail had not delivered when the server stopped
            // goes with it; its table stays.
            if !trail.is_deleted() {
                set.adopt(trail);
            }
        }
        Ok(set)
    }

    fn adopt(&self, trail: Trail) -> Arc<Follower> {
        let (id, name) = (trail.id().clone(), trail.latest().name.folded());
        let opener: Arc<dyn OpenTable> = Arc::clone(&self.opener) as Arc<dyn OpenTable>;
        let clock = Arc::clone(&self.opener.clock);
        let follower = Follower::new(
            trail,
            opener,
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

    fn log_end(&self) -> Position {
        Position::at(Partition::embedded(), self.log.end())
    }

    /// Makes a trail. Its table is opened first, so that a place that cannot be
    /// written to is refused now and not at the first delivery.
    pub async fn create(&self, by: &str, new: NewTrail) -> Result<Arc<Follower>, ApiError> {
        let _one_at_a_time = self.creating.lock().await;
        if self.names.read().contains_key(&new.name.folded()) {
            return Err(ApiError::conflict(
                "trail_exists",
                format!("a trail named {:?} exists already", new.name),
            )
            .hint(format!(
                "choose another name, or `cairn trail update {}`",
                new.name
            )));
        }
        if new.backfill && !new.start {
            return Err(ApiError::invalid(
                "backfill goes with start: a trail that is not started delivers nothing",
            ));
        }
        let id = TrailId::new(&self.opener.ids.hex128())
            .map_err(|e| ApiError::invalid(e.to_string()))?;
        let destination = new.destination.unwrap_or_else(|| Destination {
            url: format!("{}/{}", self.own_store, keys::trail_table(&new.name, &id)),
            endpoint: None,
            region: None,
        });
        self.refuse_taken_place(&destination).await?;
        let status = if new.start {
            TrailStatus::Enable
        } else {
            TrailStatus::Fresh
        };
        let version = TrailVersion {
            id,
            name: new.name,
            version: 1,
            change: TrailChange::Created,
            at: self.opener.clock.now(),
            by: by.to_owned(),
            effective: if new.backfill {
                Position::default()
            } else {
                self.log_end()
            },
            status,
            selector: new.selector,
            destination,
            retention_days: new.retention_days,
        };
        self.opener.open(&version).await.map_err(|error| {
            let status = match &error {
                TableError::Refused { .. } => StatusCode::BAD_REQUEST,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            ApiError::new(status, "destination_refused", error.to_string())
                .hint("check the URL, the endpoint and the server's S3 credentials; the place must be empty")
        })?;
        self.control
            .put(ControlKind::Trail, version.id.as_str(), 1, &version)
            .await?;
        let trail = Trail::new(vec![version]).map_err(|e| ApiError::invalid(e.to_string()))?;
        Ok(self.adopt(trail))
    }

    /// Two trails that write one table would lose each other's place.
    async fn refuse_taken_place(&self, destination: &Destination) -> Result<(), ApiError> {
        let wanted = destination.url.trim_end_matches('/');
        for follower in self.all() {
            let trail = follower.trail().read().await;
            let there = &trail.latest().destination;
            if there.url.trim_end_matches('/') == wanted && there.endpoint == destination.endpoint {
                let name = &trail.latest().name;
                return Err(ApiError::conflict(
                    "destination_taken",
                    format!("trail {name} has its table there"),
                )
                .hint("give each trail a folder or prefix of its own"));
            }
        }
        Ok(())
    }

    /// Makes the next version of a trail. It takes effect at the log's end as
    /// it is while nobody judges rows for this trail.
    pub async fn change(
        &self,
        by: &str,
        name: &str,
        change: Change,
    ) -> Result<Arc<Follower>, ApiError> {
        let follower = self.find(name)?;
        {
            let mut trail = follower.trail().write().await;
            let old = trail.latest().clone();
            let mut next = TrailVersion {
                version: old.version + 1,
                at: self.opener.clock.now(),
                by: by.to_owned(),
                effective: self.log_end(),
                ..old.clone()
            };
            match change {
                Change::Update { seen, .. } if seen != old.version => {
                    return Err(ApiError::conflict(
                        "conflict",
                        "the trail was changed by somebody else just now",
                    )
                    .hint("look at it again, then repeat the change"));
                }
                Change::Update {
                    selector,
                    retention_days,
                    ..
                } => {
                    next.change = TrailChange::Updated;
                    next.selector = selector;
                    next.retention_days = retention_days;
                }
                Change::Start { .. } if old.status == TrailStatus::Enable => {
                    return Ok(Arc::clone(&follower));
                }
                Change::Start { backfill } => {
                    if backfill && old.status != TrailStatus::Fresh {
                        return Err(ApiError::conflict(
                            "not_fresh",
                            "only a trail that was never started can be backfilled",
                        )
                        .hint("create another trail with --start --backfill"));
                    }
                    next.change = TrailChange::Started;
                    next.status = TrailStatus::Enable;
                    if backfill {
                        next.effective = Position::default();
                    }
                }
                Change::Stop if old.status != TrailStatus::Enable => {
                    return Ok(Arc::clone(&follower));
                }
                Change::Stop => {
                    next.change = TrailChange::Stopped;
                    next.status = TrailStatus::Disable;
                }
                Change::Delete => {
                    next.change = TrailChange::Deleted;
                    next.status = TrailStatus::Disable;
                }
            }
            self.control
                .put(ControlKind::Trail, next.id.as_str(), next.version, &next)
                .await?;
            if next.change == TrailChange::Started && old.status == TrailStatus::Fresh {
                follower.begin_at(&next.effective);
            }
            if next.change == TrailChange::Deleted {
                self.names.write().remove(&next.name.folded());
                self.opener.worm.forget(&next.id);
            }
            trail
                .push(next)
                .map_err(|e| ApiError::conflict("conflict", e.to_string()))?;
        }
        follower.changed();
        Ok(follower)
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
