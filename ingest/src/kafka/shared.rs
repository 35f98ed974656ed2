//! What the source's three parties share: the thread that polls, the thread
//! that watches the topics' ids, and the caller of `next` and `begin`.
//!
//! A record goes from the poller to `unverified`, and from there, once the
//! watcher has found that its topic still is the one that it was taken for, to
//! `ready`. Whoever changes what is owned sets `changed` and clears both, under
//! one lock with whoever takes from them: so nothing that was polled under an
//! older assignment can come out afterwards.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cairn_schemas::Partition;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::board::StoppedReason;
use super::topic_id::TopicId;
use crate::source::Received;

#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes `next`.
    taken: Notify,
    /// Wakes the watcher.
    watch: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The source was dropped.
    pub(super) stop: bool,
    /// Why nothing will ever come again.
    pub(super) failed: Option<String>,
    /// Nothing comes until `begin`.
    pub(super) changed: bool,
    /// When `changed` is to be set, to try again what failed.
    pub(super) again_at: Option<Instant>,
    /// Counts assignments; entries are of the newest.
    pub(super) generation: u64,
    unverified: VecDeque<Received>,
    ready: VecDeque<Received>,
    bytes: usize,
    /// The ids that the topics of this generation were begun under.
    pub(super) ids: BTreeMap<String, TopicId>,
    /// Partitions of this generation that stand still.
    pub(super) stopped: Vec<Stopped>,
}

/// A partition that is owned and not read.
#[derive(Clone, Debug)]
pub(super) struct Stopped {
    pub(super) topic: String,
    pub(super) partition: Partition,
    pub(super) why: StoppedReason,
}

/// About how many bytes of memory a stretch takes.
fn size(received: &Received) -> usize {
    let records = received.records.iter().map(|record| {
        let origin = record.origin.as_ref().map_or(0, |origin| origin.len());
        record.bytes.len() + origin + size_of_val(record)
    });
    size_of::<Received>() + records.sum::<usize>()
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Makes `next` say that something changed, and lets go of what waits.
    pub(super) fn change(&self) {
        self.state.lock().change();
        self.taken.notify_one();
    }

    /// Ends the source: `next` fails with `why`.
    pub(super) fn fail(&self, why: String) {
        self.state.lock().failed.get_or_insert(why);
        self.taken.notify_one();
    }

    /// Ends the threads.
    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.watch.notify_all();
    }

    pub(super) fn stopping(&self) -> bool {
        self.state.lock().stop
    }

    /// Appends what was polled.
    pub(super) fn push(&self, batch: Vec<Received>) {
        if batch.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        if state.changed {
            // It will be read again from where history stands.
            return;
        }
        state.bytes += batch.iter().map(size).sum::<usize>();
        state.unverified.extend(batch);
        self.watch.notify_all();
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Waits until something is to be verified, at most `timeout`.
    pub(super) fn wait_unverified(&self, timeout: Duration) {
        let mut state = self.state.lock();
        if state.unverified.is_empty() && !state.stop {
            let _ = self.watch.wait_for(&mut state, timeout);
        }
    }

    /// The topics that have to be verified, how many stretches that would let
    /// through, and of which generation they are.
    pub(super) fn to_verify(&self) -> (u64, usize, BTreeMap<String, TopicId>) {
        let state = self.state.lock();
        (state.generation, state.unverified.len(), state.ids.clone())
    }

    /// Lets the oldest `count` stretches of `generation` through.
    pub(super) fn verified(&self, generation: u64, count: usize) {
        let mut state = self.state.lock();
        if state.generation != generation {
            return;
        }
        let count = count.min(state.unverified.len());
        let State {
            unverified, ready, ..
        } = &mut *state;
        ready.extend(unverified.drain(..count));
        if count > 0 {
            self.taken.notify_one();
        }
    }

    /// Waits until `take` may say something else.
    pub(super) async fn changed(&self) {
        self.taken.notified().await;
    }
}

/// What there is for `next`.
pub(super) enum Offer {
    Records(Vec<Received>),
    Changed,
    Failed(String),
    Nothing,
}

impl State {
    pub(super) fn change(&mut self) {
        self.changed = true;
        self.again_at = None;
        self.clear();
    }

    pub(super) fn clear(&mut self) {
        self.unverified.clear();
        self.ready.clear();
        self.bytes = 0;
    }

    /// About `max_bytes` of what may be handed out.
    pub(super) fn take(&mut self, max_bytes: usize) -> Offer {
        if let Some(why) = &self.failed {
            return Offer::Failed(why.clone());
        }
        if self.changed {
            return Offer::Changed;
        }
        let (mut out, mut bytes) = (Vec::new(), 0);
        while bytes < max_bytes
            && let Some(received) = self.ready.pop_front()
        {
            bytes += size(&received);
            out.push(received);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        if out.is_empty() {
            Offer::Nothing
        } else {
            Offer::Records(out)
        }
    }
}

#[cfg(test)]
mod tests;
