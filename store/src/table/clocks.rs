//! What time it is, as far as it decides what is removed.
//!
//! A wrong clock must not cost the evidence. The machine's own is compared
//! with the store's, and with the times at which the table's rows came in.

use std::time::Duration;

use cairn_schemas::Micros;
use object_store::{ObjectStoreExt, PutPayload};

use super::age::{expired, millis};
use super::error::TableError;
use super::state::State;
use super::{Table, scratch};

/// How far the machine's clock may be ahead of the store's.
const MOST_AHEAD: Duration = Duration::from_secs(3600);

impl Table {
    /// Why the last [`Table::expire`] removed nothing though it should have;
    /// `None` if it did its work.
    pub fn expiry_trouble(&self) -> Option<String> {
        self.not_expired.lock().clone()
    }

    /// Refuses a clock of the machine that is ahead of the store's. On a local
    /// disk both are the same, and only [`Self::check_gap`] tells.
    pub(super) async fn check_clock(&self) -> Result<(), TableError> {
        // Before the store is asked: one that takes hours to answer, or a process that
        // is stopped meanwhile, would look like a clock that is ahead. What that
        // leaves unseen is no more than the answer took.
        let here = self.clock.now().0.div_euclid(1000);
        let there = self.store_time().await?;
        if here.saturating_sub(there) <= millis(MOST_AHEAD) {
            return Ok(());
        }
        let told = |ms: i64| Micros(ms.saturating_mul(1000)).to_rfc3339();
        Err(self.refused(format!(
            "nothing is expired: by the machine's clock it is {}, by the store's {}; set the clock right, \
             expiry then goes on by itself",
            told(here),
            told(there)
        )))
    }

    /// Refuses an expiry up to `before` where for longer than
    /// [`super::TableOptions::expire_gap`] nothing came in, at any time since the
    /// newest of what it would remove: then either the clock jumped, or nothing
    /// came in for as long, and nobody here knows which.
    pub(super) fn check_gap(&self, state: &State, before: Micros) -> Result<(), TableError> {
        let times = expired(state, before).filter_map(|live| live.file.ingest_time);
        let newest = times.map(|(_, last)| last.0).max().unwrap_or(before.0);
        let most = i64::try_from(self.options.expire_gap.as_micros()).unwrap_or(i64::MAX);
        let (files, now) = (state.files.values(), self.clock.now().0);
        let mut spans: Vec<(i64, i64)> = files
            .filter_map(|live| live.file.ingest_time)
            .map(|(first, last)| (first.0, last.0))
            // What came in while the clock was wrong says nothing of now.
            .filter(|(first, last)| *last > newest && *first <= now)
            .collect();
        spans.sort_unstable();
        spans.push((now, now));
        let mut reached = newest;
        for (first, last) in spans {
            if first.saturating_sub(reached) > most {
                return Err(self.refused(format!(
                    "nothing is expired: between {} and {} nothing came in, which is longer than clocks are \
                     trusted for. If the machine's clock is right, this ends by itself, once everything from \
                     before that time is older than the retention by as much as nothing came in",
                    Micros(reached).to_rfc3339(),
                    Micros(first).to_rfc3339(),
                )));
            }
            reached = reached.max(last);
        }
        Ok(())
    }

    /// What time it is in the store, in milliseconds: that of an object put
    /// there just now.
    pub(super) async fn store_time(&self) -> Result<i64, TableError> {
        let key = self.log.key(&scratch("clock", &self.ids.hex128()));
        let asked = async {
            self.log.store.put(&key, PutPayload::from("")).await?;
            self.log.store.head(&key).await
        };
        let asked = asked.await;
        if let Err(error) = self.log.store.delete(&key).await {
            tracing::debug!(%key, %error, "clock object not removed");
        }
        let meta = asked.map_err(|e| self.log.unavailable("asking the store's clock", e))?;
        Ok(meta.last_modified.timestamp_millis())
    }
}
