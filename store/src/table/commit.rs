//! The one durable act: new Parquet files and the position that they bring the
//! table to, in one entry of the log.
//!
//! Put-if-absent on the entry's number decides between committers. An error of
//! that put says nothing of whether the entry lies there, so after every error
//! the entry is read: ours means done, another's means that the table has
//! moved on and the plan is made anew on what it is now, none means that the
//! same bytes are put to the same number again. A put that was given up and
//! lands later can therefore only land where nothing else does.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use cairn_schemas::time::date_text;
use cairn_schemas::{Micros, Position};
use deltalake_core::kernel::Add;
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::{Value, json};

use super::error::TableError;
use super::landed::{Made, Since};
use super::log::{self, position_actions, with_info};
use super::names::DataName;
use super::parquet::{Encoded, encode};
use super::pledge::{PLEDGED, Pledge};
use super::state::{Entry, State};
use super::{Head, Listing, Table};
use crate::view::OffsetRange;

/// A state that was not confirmed for so long may have slept through more
/// than the log keeps: then the table is read anew before anything is put,
/// and again after it.
pub(super) const CONFIRMED: Duration = Duration::from_secs(3600);

/// How often a table that seems to stand further back than before is read anew.
const RELOADS: u32 = 4;

/// How many commits of others one commit lets pass before it gives up.
const MOST_OVERTAKEN: u32 = 100;

/// On what a commit depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The table stands at `from` in every partition that `from` or `to` names.
    Named,
    /// The table stands at `from` in every partition: nobody else has moved any.
    Whole,
}

/// Rows that lie in the store as files which no table lists yet. Dropped
/// without being published, they are orphans, which a vacuum removes: so a
/// day after they were made they cannot be published any more. Their bytes
/// are held until this is dropped.
#[derive(Debug)]
pub struct Prepared {
    pub(super) id: String,
    pub(super) now: Micros,
    pub(super) adds: Vec<Add>,
    pub(super) made: Made,
    ranges: Vec<OffsetRange>,
}

impl Table {
    /// Commits `rows` and moves the table from `from` to `to`, both or
    /// neither, durable on return. `rows` may be empty. Every row's place in
    /// the log has to lie between the two.
    ///
    /// [`TableError::Conflict`] tells where the table stands instead of at
    /// `from`; then nothing of this call is or will be visible. After
    /// [`TableError::Unavailable`] the commit may yet turn out to have landed,
    /// and the next call from `from` says so by a conflict.
    pub async fn commit(
        &self,
        rows: Vec<RecordBatch>,
        from: &Position,
        to: &Position,
    ) -> Result<Arc<Listing>, TableError> {
        {
            let mut head = self.head.lock().await;
            let stands = self.find_at(&mut head, from, to, Condition::Named).await;
            self.show(&head.state);
            stands?;
        }
        let prepared = self.prepare_between(rows, Some((from, to))).await?;
        self.publish_prepared(&prepared, from, to, Condition::Named)
            .await
    }

    /// Writes `rows` into files, durable on return, for
    /// [`Self::publish_prepared`] to commit. Takes the time that a commit takes
    /// mostly, and depends on nothing that others do meanwhile.
    pub async fn prepare(&self, rows: Vec<RecordBatch>) -> Result<Prepared, TableError> {
        self.prepare_between(rows, None).await
    }

    async fn prepare_between(
        &self,
        rows: Vec<RecordBatch>,
        between: Option<(&Position, &Position)>,
    ) -> Result<Prepared, TableError> {
        let rows: Vec<RecordBatch> = rows.into_iter().filter(|b| b.num_rows() > 0).collect();
        self.check_rows(&rows)?;
        let mut prepared = Prepared {
            id: self.ids.hex128(),
            now: self.clock.now(),
            adds: Vec::new(),
            made: Made::new(self.clock.as_ref()),
            ranges: Vec::new(),
        };
        let files = self.encode_rows(rows).await?;
        for file in &files {
            prepared.ranges.extend(file.facts.ranges().iter().cloned());
        }
        if let Some((from, to)) = between {
            self.check_ranges(&prepared, from, to)?;
        }
        // (1) The Parquet files, durable. A crash after it leaves objects that
        // nothing lists; the vacuum removes them, and a repeat makes others.
        for file in files {
            let made = &mut prepared.made;
            let add = self.put_file(file, made, &prepared.id, prepared.now, true);
            prepared.adds.push(add.await?);
        }
        Ok(prepared)
    }

    /// Commits what was prepared, as [`Self::commit`] does. May be called again
    /// after an error, also with other positions, as long as they move the same
    /// partitions to the same places: the rows are committed once. That an
    /// earlier call landed is told by success where it can be known, else by a
    /// conflict.
    pub async fn publish_prepared(
        &self,
        prepared: &Prepared,
        from: &Position,
        to: &Position,
        condition: Condition,
    ) -> Result<Arc<Listing>, TableError> {
        self.publish_pledging(prepared, from, to, condition, None)
            .await
    }

    /// [`Self::publish_prepared`], and in the same act what another table has to
    /// list: see [`super::pledge`]. The caller has to have it kept afterwards.
    pub async fn publish_pledging(
        &self,
        prepared: &Prepared,
        from: &Position,
        to: &Position,
        condition: Condition,
        pledge: Option<&Pledge>,
    ) -> Result<Arc<Listing>, TableError> {
        self.check_ranges(prepared, from, to)?;
        let mut head = self.head.lock().await;
        let done = self
            .publish_locked(&mut head, prepared, from, to, condition, pledge)
            .await;
        self.show(&head.state);
        done?;
        // (3) A checkpoint. A crash before it, or its failure, leaves a table
        // that takes longer to open.
        self.checkpoint_if_due(&mut head).await;
        Ok(self.files())
    }

    async fn publish_locked(
        &self,
        head: &mut Head,
        prepared: &Prepared,
        from: &Position,
        to: &Position,
        condition: Condition,
        pledge: Option<&Pledge>,
    ) -> Result<(), TableError> {
        let stands = self.find_at(head, from, to, condition).await;
        let landed = self.has_landed(&head.state, &prepared.id, &prepared.made);
        if landed.await? {
            return Ok(());
        }
        stands?;
        if prepared.adds.is_empty() && from == to {
            return Ok(());
        }
        let adds = prepared.adds.iter().map(|add| json!({ "add": add }));
        let mut actions: Vec<Value> = adds.collect();
        let prefix = &self.options.position_prefix;
        actions.extend(position_actions(prefix, from, to, prepared.now));
        if let Some(pledge) = pledge {
            let before = head.state.position(PLEDGED);
            actions.extend(position_actions(
                PLEDGED,
                &before,
                pledge.to(),
                prepared.now,
            ));
        }
        let lines = with_info(actions, "WRITE", prepared.now, &prepared.id, pledge);
        // (2) The log's entry, durable: the act itself. A crash after it
        // leaves the commit done; whoever opens the table next sees it.
        self.publish(head, &prepared.id, &prepared.made, |state| {
            self.stands_at(state, from, to, condition)?;
            Ok(lines.clone())
        })
        .await
    }

    /// Checks where the table stands, by what others have committed too.
    async fn find_at(
        &self,
        head: &mut Head,
        from: &Position,
        to: &Position,
        condition: Condition,
    ) -> Result<(), TableError> {
        if self.stands_at(&head.state, from, to, condition).is_ok() {
            return Ok(());
        }
        // Somebody else's commits may have brought it to `from`.
        self.catch_up(head).await?;
        self.stands_at(&head.state, from, to, condition)
    }

    /// Checks where `state` stands, in the partitions that the commit is about.
    fn stands_at(
        &self,
        state: &State,
        from: &Position,
        to: &Position,
        condition: Condition,
    ) -> Result<(), TableError> {
        let at = state.position(&self.options.position_prefix);
        let named = from.0.keys().chain(to.0.keys());
        let others = at.0.keys().filter(|_| condition == Condition::Whole);
        let here = named.chain(others).all(|p| at.of(p) == from.of(p));
        if !here {
            return Err(TableError::Conflict { at });
        }
        if !to.reaches(from) {
            return Err(self.refused("a commit cannot move a table back"));
        }
        Ok(())
    }

    pub(super) fn check_ranges(
        &self,
        prepared: &Prepared,
        from: &Position,
        to: &Position,
    ) -> Result<(), TableError> {
        for range in &prepared.ranges {
            if range.first < from.of(&range.partition) || range.next > to.of(&range.partition) {
                return Err(self.refused(format!(
                    "rows of {} {}..{} do not lie between the commit's two positions",
                    range.partition, range.first, range.next
                )));
            }
        }
        Ok(())
    }

    fn check_rows(&self, rows: &[RecordBatch]) -> Result<(), TableError> {
        let wanted = self.spec.schema.fields();
        for batch in rows {
            let schema = batch.schema();
            let equal = schema.fields().len() == wanted.len()
                && std::iter::zip(schema.fields(), wanted)
                    .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
            if !equal {
                return Err(self.refused("rows with other columns than the table's"));
            }
        }
        Ok(())
    }

    async fn encode_rows(&self, rows: Vec<RecordBatch>) -> Result<Vec<Encoded>, TableError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let layout = self.layout.clone();
        tokio::task::spawn_blocking(move || encode(&layout, &rows))
            .await
            .map_err(|e| self.log.unavailable("encoding rows", e))?
            .map_err(|e| self.refused(format!("rows cannot be written as Parquet: {e}")))
    }

    /// Puts one file, durable on return, and tells what the log has to say of it.
    pub(super) async fn put_file(
        &self,
        file: Encoded,
        made: &mut Made,
        id: &str,
        now: Micros,
        data_change: bool,
    ) -> Result<Add, TableError> {
        let Encoded { day, bytes, facts } = file;
        let date = date_text(day);
        let path = self.names.path(DataName {
            day,
            span: facts.span(),
            commit: id,
            number: made.files.len(),
        });
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        self.put_object(&path, bytes.clone()).await?;
        made.files.push((path.clone(), bytes));
        Ok(Add {
            path,
            partition_values: [("ingest_date".to_owned(), Some(date))].into(),
            size,
            modification_time: now.0.div_euclid(1000),
            data_change,
            stats: Some(facts.stats()),
            tags: Some(facts.tags()),
            ..Add::default()
        })
    }

    /// The name holds the commit's own id, so nobody else puts it and a repeat
    /// puts the same bytes.
    pub(super) async fn put_object(&self, path: &str, bytes: Bytes) -> Result<(), TableError> {
        let key = self.log.key(path);
        let mut attempt = 0;
        loop {
            let payload = PutPayload::from_bytes(bytes.clone());
            match self.log.store.put(&key, payload).await {
                Ok(_) => return Ok(()),
                Err(e) => {
                    attempt += 1;
                    if attempt >= self.options.attempts {
                        return Err(self.log.unavailable("writing a file", e));
                    }
                }
            }
            self.pause(attempt).await;
        }
    }

    /// Puts what `plan` makes of the newest state as the log's next entry.
    /// `plan` has to make the same lines of the same state.
    pub(super) async fn publish(
        &self,
        head: &mut Head,
        id: &str,
        made: &Made,
        plan: impl Fn(&State) -> Result<Vec<Value>, TableError>,
    ) -> Result<(), TableError> {
        let (mut attempt, mut overtaken) = (0, 0);
        loop {
            self.confirm(head).await?;
            if self.has_landed(&head.state, id, made).await? {
                return Ok(());
            }
            if made.is_old(self.clock.as_ref()) {
                // A process that slept for days may list what the vacuum has
                // taken for an orphan meanwhile. The next try makes its own.
                let slept = "its files were written too long ago to be sure of them";
                return Err(self.log.unavailable("committing", slept));
            }
            let lines = plan(&head.state)?;
            let body = log::encode(&lines);
            let version = head.state.version + 1;
            let failure = match self.log.put(version, body.clone()).await {
                Ok(()) => {
                    let entry = Entry::parse(&body).map_err(|e| self.refused(e))?;
                    self.log.apply(&mut head.state, version, entry)?;
                    return self.settle(head, &lines, made).await;
                }
                Err(e) => e,
            };
            // The answer is no answer: what stands there is. That it can be
            // read means that it is durable, on local disk too, where the
            // failure may have been the sync of the folder (`DurableLocal`).
            match self.log.read(version).await {
                Ok(Some(entry)) => {
                    let ours = entry.commit_id() == Some(id);
                    self.log.apply(&mut head.state, version, entry)?;
                    if ours {
                        return self.settle(head, &lines, made).await;
                    }
                    self.as_it_was(head)?;
                    overtaken += 1;
                }
                Ok(None) => attempt += 1,
                Err(e @ TableError::Damaged { .. }) => return Err(e),
                Err(_) => attempt += 1,
            }
            if attempt >= self.options.attempts || overtaken >= MOST_OVERTAKEN {
                return Err(self.log.unavailable("committing", failure));
            }
            tracing::debug!(table = %self.spec.name, version, attempt, overtaken, %failure, "commit tried again");
            self.pause(attempt).await;
        }
    }

    /// Reads the table anew where its state was last confirmed too long ago.
    async fn confirm(&self, head: &mut Head) -> Result<(), TableError> {
        if head.seen.elapsed(self.clock.as_ref()) < CONFIRMED {
            return Ok(());
        }
        self.reload(head).await
    }

    pub(super) async fn reload(&self, head: &mut Head) -> Result<(), TableError> {
        let mut tries = 0;
        let state = loop {
            let state = self.log.load().await?;
            let state = state.ok_or_else(|| self.log.damaged("its log is gone".to_owned()))?;
            if state.version >= head.state.version {
                break state;
            }
            // A list may lag behind while the newest entry is not found once.
            tries += 1;
            if tries >= RELOADS {
                return Err(self.log.damaged(format!(
                    "it stands at version {}, and stood at {} before",
                    state.version, head.state.version
                )));
            }
            self.pause(tries).await;
        };
        head.state = state;
        head.seen = Since::now(self.clock.as_ref());
        Ok(())
    }

    /// Takes in what others have committed.
    pub(super) async fn catch_up(&self, head: &mut Head) -> Result<(), TableError> {
        if head.seen.elapsed(self.clock.as_ref()) >= CONFIRMED {
            return self.reload(head).await;
        }
        self.log.follow(&mut head.state).await?;
        head.seen = Since::now(self.clock.as_ref());
        self.as_it_was(head)
    }

    /// Refuses a table that is not the one that was opened any more.
    fn as_it_was(&self, head: &Head) -> Result<(), TableError> {
        match super::check(&self.spec, &head.state)? == self.layout.outlined() {
            true => Ok(()),
            false => Err(self.refused("its columns were changed; start again")),
        }
    }

    /// A pause that doubles with each try, half of it by chance, so that two
    /// committers do not keep step.
    pub(super) async fn pause(&self, attempt: u32) {
        let mut byte = [0u8; 1];
        self.ids.fill(&mut byte);
        let most = self.options.pause * (1 << attempt.min(6));
        tokio::time::sleep(most.mul_f64(0.5 + f64::from(byte[0]) / 512.0)).await;
    }

    /// Writes a checkpoint where one is due, and cleans the log at times. The
    /// kernel makes it from a list of the log, and refuses one that lacks an
    /// entry, as a list may once that is younger than what it shows. So one that
    /// failed is tried again after the next commit, then after two more, four,
    /// and so on.
    pub(super) async fn checkpoint_if_due(&self, head: &mut Head) {
        let (every, version) = (self.options.checkpoint_every, head.state.version);
        let owed = head.owed.is_some_and(|(at, _)| at <= version);
        if every <= 0 || (version % every != 0 && !owed) {
            return;
        }
        if let Err(error) = self.log.write_checkpoint(version).await {
            let after = head.owed.map_or(1, |(_, after)| (2 * after).min(every));
            head.owed = Some((version + after, after));
            tracing::warn!(table = %self.spec.name, version, again = version + after, %error, "checkpoint not written");
            return;
        }
        head.owed = None;
        self.clean_log(head).await;
    }
}
