//! Places among the queries that run: so many in all, and so many of one
//! principal, so that nobody takes all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::error::{Exceeded, QueryError};
use crate::limits::Limits;
use crate::share::Share;

/// From how many principals on those who ask nothing now are forgotten.
const REMEMBERED: usize = 256;

/// Who runs and who waits.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    each: usize,
    own: Mutex<HashMap<String, Arc<Own>>>,
    limits: Limits,
}

/// The places of one principal.
#[derive(Debug)]
struct Own {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    share: Arc<Share>,
}

/// A place; it is given back when the query has really stopped, not when its
/// caller went away.
#[derive(Debug)]
pub(crate) struct Place {
    /// Of memory and temporary disk, what its principal's queries take.
    pub(crate) share: Arc<Share>,
    _one_of_all: OwnedSemaphorePermit,
    _one_of_own: OwnedSemaphorePermit,
}

fn busy() -> QueryError {
    QueryError::limit(Exceeded::Busy, "too many queries are waiting")
        .with_hint("try again in a moment")
}

impl Places {
    pub(crate) fn new(limits: &Limits) -> Self {
        let all = limits.concurrent.max(1);
        Self {
            all: Arc::new(Semaphore::new(all)),
            waiting: AtomicUsize::new(0),
            queue: limits.queue,
            each: limits.per_principal.clamp(1, all),
            own: Mutex::default(),
            limits: limits.clone(),
        }
    }

    /// A place for a query of `who`, once there is one.
    pub(crate) async fn enter(&self, who: &str, deadline: Instant) -> Result<Place, QueryError> {
        let own = self.of(who);
        // Their own first: whoever waits for one of their own must not hold
        // one that others could have.
        let mut seats = Seats::default();
        let mine = self.take(&own.places, &own, &mut seats, deadline).await?;
        let any = self.take(&self.all, &own, &mut seats, deadline).await?;
        Ok(Place {
            share: Arc::clone(&own.share),
            _one_of_all: any,
            _one_of_own: mine,
        })
    }

    async fn take<'a>(
        &'a self,
        places: &Arc<Semaphore>,
        own: &'a Own,
        seats: &mut Seats<'a>,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, QueryError> {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok(place);
        }
        if seats.0.is_none() {
            // Of the queue too everybody has a part.
            let part = self.queue.div_ceil(2);
            let in_own = Waiting::enter(&own.waiting, part).ok_or_else(busy)?;
            let in_all = Waiting::enter(&self.waiting, self.queue).ok_or_else(busy)?;
            seats.0 = Some((in_own, in_all));
        }
        match timeout_at(deadline, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(busy()),
        }
    }

    fn of(&self, who: &str) -> Arc<Own> {
        let mut own = self.own.lock();
        if own.len() > REMEMBERED {
            // Whoever runs or waits holds theirs.
            own.retain(|_, one| {
                Arc::strong_count(one) > 1
                    || Arc::strong_count(&one.share) > 1
                    || one.places.available_permits() < self.each
            });
        }
        let one = own.entry(who.to_owned()).or_insert_with(|| {
            Arc::new(Own {
                places: Arc::new(Semaphore::new(self.each)),
                waiting: AtomicUsize::new(0),
                share: Share::new(&self.limits),
            })
        });
        Arc::clone(one)
    }
}

/// The seats of one who waits, in their own queue and in everybody's.
#[derive(Default)]
struct Seats<'a>(Option<(Waiting<'a>, Waiting<'a>)>);

/// One who waits for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let entered = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
            (n < most).then_some(n + 1)
        });
        entered.ok().map(|_| Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
