//! When commits are tried: seldom where many contend, and not in step.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use super::Pipeline;

/// So many commit intervals open rows wait at the most, beyond the first, while
/// others commit all the time.
const MOST_PATIENCE: u32 = 3;

impl Pipeline {
    /// How old open rows may become: longer where many commit, and one had to
    /// be tried again and again. What is open is visible all the same.
    pub(super) fn interval(&self) -> Duration {
        self.options.commit_interval * (1 + self.crowd.min(MOST_PATIENCE))
    }

    /// Puts the next try off, each time for longer.
    pub(super) fn pause(&mut self) {
        let (least, most) = (Duration::from_millis(200), Duration::from_secs(10));
        self.backoff = (self.backoff * 2).clamp(least, most);
        let by_chance = 0.5 + self.chance() / 2.0;
        self.not_before = Instant::now() + self.backoff.mul_f64(by_chance);
    }

    /// After the second conflict in a row: waits a while, by chance, so that of
    /// many that contend each comes to its turn. What others commit meanwhile is
    /// learned, so that the try after it has little to catch up with.
    pub(super) fn make_way(&mut self, took: Duration) {
        if self.conflicts < 2 {
            return;
        }
        let (least, most) = (Duration::from_millis(5), Duration::from_millis(500));
        let most_of_all = took.clamp(least, most) * (1 << self.conflicts.min(4));
        self.not_before = Instant::now() + most_of_all.mul_f64(self.chance());
    }

    /// A number from 0 to 1 that differs between processes and from try to try.
    fn chance(&self) -> f64 {
        let mut hash = DefaultHasher::new();
        self.history.owned().borrow().hash(&mut hash);
        let open = self.history.head();
        for (partition, next) in &open.0 {
            (partition, next).hash(&mut hash);
        }
        (self.conflicts, self.backoff).hash(&mut hash);
        (hash.finish() >> 11) as f64 / (1u64 << 53) as f64
    }
}
