//! What the commit of one table decides for another.
//!
//! No act changes two tables at once. So the entry of the first table holds
//! everything that the second one's needs: a [`Pledge`], which is the list of
//! files that lie there already, and the place to which they bring it. That
//! entry decides for both. The second table is brought to it afterwards, by
//! whoever comes by: as often as anybody likes, the files are listed once.
//!
//! The order, and what a crash leaves:
//!
//! 1. The second table's files. A crash leaves orphans in both places.
//! 2. The first table's entry, with the pledge in its `commitInfo` and, for
//!    each partition that the pledge moves, a transaction `pledged:<partition>`.
//!    A crash leaves a pledge that is not kept yet.
//! 3. The second table's entry ([`Table::keep`]). A crash leaves nothing to do.
//!
//! The transactions tell, from checkpoints too, up to where the second table
//! has to stand: where it does not, [`Table::pledges_beyond`] finds what is
//! missing in the entries. Those are there for [`super::TableOptions::log_retention`]:
//! whoever commits to the first table keeps what is pledged before, so that never
//! more than the newest pledge is open, and the pledge's files are no orphans to
//! the vacuum for days.

use cairn_schemas::{Micros, Position};
use deltalake_core::kernel::Add;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::commit::Prepared;
use super::error::TableError;
use super::landed::Made;
use super::log::{position_actions, with_info};
use super::state::State;
use super::{Head, Table};

/// The prefix of the transactions that say up to where is pledged.
pub(super) const PLEDGED: &str = "pledged";

/// Files of one table, and the place to which they bring it, as the entry of
/// another table holds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pledge {
    /// The id of the commit that keeps it.
    id: String,
    /// When its files were made.
    at: Micros,
    /// Where each partition that it moves comes from.
    from: Position,
    /// Where it comes to.
    to: Position,
    adds: Vec<Add>,
}

impl Pledge {
    /// The place to which it brings the table that it is for.
    pub fn to(&self) -> &Position {
        &self.to
    }
}

/// How often a pledged file is looked for before it counts as gone.
const LOOKS: u32 = 4;

impl Table {
    /// What another table's entry has to hold so that the rows of `prepared` are
    /// in this one, and this one stands at `to` in the partitions named there.
    /// `from` is where it stands in them now.
    pub fn pledge(
        &self,
        prepared: &Prepared,
        from: &Position,
        to: &Position,
    ) -> Result<Pledge, TableError> {
        self.check_ranges(prepared, from, to)?;
        Ok(Pledge {
            id: prepared.id.clone(),
            at: prepared.now,
            from: from.clone(),
            to: to.clone(),
            adds: prepared.adds.clone(),
        })
    }

    /// Up to where this table's commits have pledged another, by the newest
    /// version known here.
    pub fn pledged(&self) -> Position {
        self.shown.read().pledged.clone()
    }

    /// The pledges of this table that a table at `kept` has not seen kept, the
    /// oldest first.
    pub async fn pledges_beyond(&self, kept: &Position) -> Result<Vec<Pledge>, TableError> {
        let (mut version, pledged) = {
            let head = self.head.lock().await;
            (head.state.version, head.state.position(PLEDGED))
        };
        let (mut found, mut missing) = (Vec::new(), pledged);
        while !kept.reaches(&missing) {
            let entry = self.log.read(version).await?.ok_or_else(|| {
                self.log.damaged(format!(
                    "entry {version} is gone from the log, and it or one before it pledged what lies before {missing:?}"
                ))
            })?;
            if let Some(pledge) = entry.pledge()
                && !kept.reaches(&pledge.to)
            {
                // What lies before it was pledged by an older entry.
                for partition in pledge.to.0.keys() {
                    let before = pledge.from.of(partition);
                    missing.0.insert(partition.clone(), before);
                }
                found.push(pledge.clone());
            }
            version -= 1;
        }
        found.reverse();
        Ok(found)
    }

    /// Lists what was pledged, durable on return. Any number of processes may do
    /// so at once, and again. `prepared` is what the pledge was made of, where
    /// this process made it.
    pub async fn keep(
        &self,
        pledge: &Pledge,
        prepared: Option<&Prepared>,
    ) -> Result<(), TableError> {
        let mut head = self.head.lock().await;
        let kept = self.keep_locked(&mut head, pledge, prepared).await;
        self.show(&head.state);
        kept?;
        self.checkpoint_if_due(&mut head).await;
        Ok(())
    }

    async fn keep_locked(
        &self,
        head: &mut Head,
        pledge: &Pledge,
        prepared: Option<&Prepared>,
    ) -> Result<(), TableError> {
        if prepared.is_none() {
            // Somebody else's, who most likely keeps it himself.
            self.catch_up(head).await?;
        }
        if self.has_kept(&head.state, pledge) {
            return Ok(());
        }
        let nothing = Made::new(self.clock.as_ref());
        let made = prepared.map_or(&nothing, |prepared| &prepared.made);
        // Made long ago, or by another: a vacuum may have come before us.
        if prepared.is_none() || made.is_old(self.clock.as_ref()) {
            self.secure(pledge, made).await?;
        }
        let adds = pledge.adds.iter().map(|add| json!({ "add": add }));
        let mut actions: Vec<_> = adds.collect();
        let prefix = &self.options.position_prefix;
        let there = head.state.position(prefix);
        let mut moved = pledge.to.0.keys();
        if moved.any(|p| there.of(p) != pledge.from.of(p)) {
            return Err(self.log.damaged(format!(
                "it stands at {there:?}, and the next pledge goes on from {:?}",
                pledge.from
            )));
        }
        actions.extend(position_actions(prefix, &there, &pledge.to, pledge.at));
        let lines = with_info(actions, "WRITE", pledge.at, &pledge.id, None);
        // Its files are made sure of already, so that they are never too old.
        let published = self
            .publish(head, &pledge.id, &nothing, |state| {
                match self.has_kept(state, pledge) {
                    false => Ok(lines.clone()),
                    true => Err(TableError::Conflict {
                        at: state.position(prefix),
                    }),
                }
            })
            .await;
        match published {
            Err(TableError::Conflict { .. }) if self.has_kept(&head.state, pledge) => Ok(()),
            Err(TableError::Conflict { .. }) => {
                let landed_nowhere = "its entry landed where the log was cleaned";
                Err(self.log.unavailable("keeping a pledge", landed_nowhere))
            }
            other => other,
        }
    }

    /// A pledge moves all of its partitions in one entry, and nothing else moves
    /// them.
    fn has_kept(&self, state: &State, pledge: &Pledge) -> bool {
        let at = state.position(&self.options.position_prefix);
        at.reaches(&pledge.to)
    }

    /// Whether the file lies there. A store may once not know of a file that it
    /// has: so that it is gone is believed at the last of several looks.
    async fn look_for(&self, path: &str) -> object_store::Result<()> {
        let key = self.log.key(path);
        for attempt in 1..LOOKS {
            match self.log.store.head(&key).await {
                Err(object_store::Error::NotFound { .. }) => self.pause(attempt).await,
                other => return other.map(drop),
            }
        }
        self.log.store.head(&key).await.map(drop)
    }

    /// Makes sure that the files lie there.
    async fn secure(&self, pledge: &Pledge, made: &Made) -> Result<(), TableError> {
        for add in &pledge.adds {
            match self.look_for(&add.path).await {
                Ok(()) => {}
                Err(object_store::Error::NotFound { .. }) => {
                    let ours = made.files.iter().find(|(path, _)| *path == add.path);
                    let Some((path, bytes)) = ours else {
                        return Err(self.log.damaged(format!(
                            "{} was pledged and is gone before it was listed",
                            add.path
                        )));
                    };
                    self.put_object(path, bytes.clone()).await?;
                }
                Err(e) => return Err(self.log.unavailable("checking a file", e)),
            }
        }
        Ok(())
    }
}
