//! Trails are made and changed.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use cairn_ingest::deliver::{Follower, OpenTable};
use cairn_schemas::selector::Selector;
use cairn_schemas::trail::{Destination, Trail, TrailChange, TrailStatus, TrailVersion};
use cairn_schemas::{Micros, Position, TrailId, TrailName};
use cairn_store::control::ControlError;
use cairn_store::table::TableError;
use sha2::{Digest, Sha256};

use super::TrailSet;
use crate::server::http::error::ApiError;

/// How long a change waits until it is in force everywhere. Where the
/// destination takes longer, the change stands and comes into force by itself.
const IN_FORCE: Duration = Duration::from_secs(2);

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

/// The version that `change` makes of `old`, but for its place: `None` if there
/// is nothing to change.
fn next_version(
    old: &TrailVersion,
    change: Change,
    now: Micros,
    by: &str,
) -> Result<Option<TrailVersion>, ApiError> {
    let mut next = TrailVersion {
        version: old.version + 1,
        at: now,
        by: by.to_owned(),
        replaces: None,
        ..old.clone()
    };
    match change {
        Change::Update { seen, .. } if seen != old.version => return Err(changed_by_others()),
        Change::Update {
            selector,
            retention_days,
            ..
        } => {
            next.change = TrailChange::Updated;
            next.selector = selector;
            next.retention_days = retention_days;
        }
        Change::Start { .. } if old.status == TrailStatus::Enable => return Ok(None),
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
        }
        Change::Stop if old.status != TrailStatus::Enable => return Ok(None),
        Change::Stop => {
            next.change = TrailChange::Stopped;
            next.status = TrailStatus::Disable;
        }
        Change::Delete => {
            next.change = TrailChange::Deleted;
            next.status = TrailStatus::Disable;
        }
    }
    Ok(Some(next))
}

fn changed_by_others() -> ApiError {
    ApiError::conflict(
        "conflict",
        "the trail was changed by somebody else just now",
    )
    .hint("look at it again, then repeat the change")
}

fn name_taken(name: &TrailName) -> ApiError {
    ApiError::conflict(
        "trail_exists",
        format!("a trail named {name:?} exists already"),
    )
    .hint(format!(
        "choose another name, or `cairn trail update {name}`"
    ))
}

impl TrailSet {
    /// Where a version that is made now takes effect: everything that was
    /// acknowledged before lies below, and everything that was delivered.
    async fn place(&self) -> Result<Position, ApiError> {
        let end = self.ends.end().await.map_err(|reason| {
            ApiError::unavailable(format!("the end of the log is not known: {reason}")).hint(
                "nothing was changed: a change takes effect at an exact place of the log; try again",
            )
        });
        let mut end = end?;
        end.merge(&self.history.committed());
        Ok(end)
    }

    /// The id of the next trail with this name. Two processes that make one at
    /// once come to the same, so that only one of them can write its document.
    fn next_id(&self, name: &TrailName) -> Result<TrailId, ApiError> {
        let folded = name.folded();
        let before = self.ever.read().values().filter(|n| **n == folded).count();
        let seed = format!("{}\n{folded}\n{before}", self.salt);
        let id = hex::encode(&Sha256::digest(seed)[..16]);
        TrailId::new(&id).map_err(|e| ApiError::invalid(e.to_string()))
    }

    /// Makes a trail. Its table is opened first, so that a place that cannot be
    /// written to is refused now and not at the first delivery.
    pub async fn create(&self, by: &str, new: NewTrail) -> Result<Arc<Follower>, ApiError> {
        let version = {
            let one_at_a_time = self.creating.lock().await;
            let version = self.first_version(by, new).await?;
            match self.documents.put(&version).await {
                Ok(()) => {
                    let trail = Trail::new(vec![version]);
                    let trail = trail.map_err(|e| ApiError::invalid(e.to_string()))?;
                    let follower = self.adopt(trail);
                    drop(one_at_a_time);
                    bring_into_force(&follower).await;
                    return Ok(follower);
                }
                Err(ControlError::Conflict { .. }) => version,
                Err(error) => return Err(error.into()),
            }
        };
        // Another process made it first: it is shown from now on.
        let keys = self.control.keys().await?;
        if let Err(error) = self.refresh(&keys).await {
            tracing::warn!(error = %error, "others' trails cannot be read");
        }
        Err(name_taken(&version.name))
    }

    async fn first_version(&self, by: &str, new: NewTrail) -> Result<TrailVersion, ApiError> {
        if self.names.read().contains_key(&new.name.folded()) {
            return Err(name_taken(&new.name));
        }
        if new.backfill && !new.start {
            return Err(ApiError::invalid(
                "backfill goes with start: a trail that is not started delivers nothing",
            ));
        }
        let id = self.next_id(&new.name)?;
        let own_place = || self.documents.own_place(&new.name, &id);
        let destination = new.destination.clone().unwrap_or_else(own_place);
        self.refuse_taken_place(&destination).await?;
        let effective = match new.backfill {
            true => Position::default(),
            false => self.place().await?,
        };
        let version = TrailVersion {
            id,
            name: new.name,
            version: 1,
            change: TrailChange::Created,
            at: self.opener.clock.now(),
            by: by.to_owned(),
            effective,
            status: match new.start {
                true => TrailStatus::Enable,
                false => TrailStatus::Fresh,
            },
            selector: new.selector,
            destination,
            retention_days: new.retention_days,
            replaces: None,
        };
        self.opener.open(&version).await.map_err(|error| {
            let status = match &error {
                TableError::Refused { .. } => StatusCode::BAD_REQUEST,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            ApiError::new(status, "destination_refused", error.to_string())
                .hint("check the URL, the endpoint and the server's S3 credentials; the place must be empty")
        })?;
        Ok(version)
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
    /// it is while nobody here judges rows for this trail; what others judge
    /// meanwhile, `deliver` sees to.
    pub async fn change(
        &self,
        by: &str,
        name: &str,
        change: Change,
    ) -> Result<Arc<Follower>, ApiError> {
        let follower = self.find(name)?;
        let mut trail = follower.trail().write().await;
        let from_the_start = matches!(change, Change::Start { backfill: true });
        let now = self.opener.clock.now();
        let Some(mut next) = next_version(trail.latest(), change, now, by)? else {
            drop(trail);
            return Ok(follower);
        };
        next.effective = match from_the_start {
            true => Position::default(),
            false => self.place().await?,
        };
        match self.documents.put(&next).await {
            Ok(()) => {}
            Err(ControlError::Conflict { .. }) => {
                drop(trail);
                self.catch_up(&follower).await;
                return Err(changed_by_others());
            }
            Err(error) => return Err(error.into()),
        }
        let pushed = follower.push(&mut trail, next);
        pushed.map_err(|e| ApiError::conflict("conflict", e.to_string()))?;
        if trail.is_deleted() {
            self.drop_name(&trail);
        }
        drop(trail);
        bring_into_force(&follower).await;
        Ok(follower)
    }

    /// Reads what others made of one trail.
    async fn catch_up(&self, follower: &Arc<Follower>) {
        use cairn_ingest::deliver::Versions as _;
        let (id, known) = {
            let trail = follower.trail().read().await;
            (trail.id().clone(), trail.latest().version)
        };
        let learned = match self.documents.newer(&id, known).await {
            Ok(newer) => self.learn(follower, newer).await,
            Err(reason) => Err(anyhow::anyhow!(reason)),
        };
        if let Err(error) = learned {
            tracing::warn!(error = %error, "others' changes of a trail cannot be read");
        }
    }
}

/// Waits a little until the newest version is in force for every process. If
/// the destination does not answer, the follower sees to it when it does.
async fn bring_into_force(follower: &Arc<Follower>) {
    if follower.table().is_none() {
        return;
    }
    let fenced = tokio::time::timeout(IN_FORCE, follower.fence()).await;
    if !matches!(fenced, Ok(Ok(()))) {
        tracing::info!("the change takes effect once the trail's destination answers");
    }
}
