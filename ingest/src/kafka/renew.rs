//! The client that sends, and when another takes its place.
//!
//! An idempotent producer of librdkafka can come to a state that it does not
//! leave again: a fatal error ("sequence desynchronization", say, after a broker
//! lost its state; see "Fatal consumer/producer errors" in its INTRODUCTION.md),
//! after which it refuses every message. And one that got nothing acknowledged
//! for long, while the cluster answers questions, may wait for something that
//! never comes. A new client has a new producer id and begins at sequence 0; what
//! the old one had under way was answered as unsure, or will be.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{FutureProducer, Producer as _};
use tokio::time::Instant;

use super::client::Context;

/// How long a client may try in vain before another takes its place. Longer than
/// one message may wait, so that a second one was tried as well.
const IN_VAIN: Duration = Duration::from_secs(30);

/// How long a client is kept after another took its place: nobody can be waiting
/// for its answers then.
const KEPT: Duration = Duration::from_secs(60);

/// A client that sends.
pub(super) struct Sender {
    pub(super) producer: FutureProducer<Context>,
    /// Since when nothing was acknowledged that was sent; `None` where the last
    /// was, or nothing was tried.
    in_vain: Mutex<Option<Instant>>,
}

/// The client of now.
pub(super) struct Renewed {
    config: ClientConfig,
    context: Context,
    current: Mutex<Arc<Sender>>,
}

impl Renewed {
    pub(super) fn new(config: ClientConfig, context: Context) -> KafkaResult<Self> {
        let first = sender(&config, &context)?;
        Ok(Self {
            current: Mutex::new(Arc::new(first)),
            config,
            context,
        })
    }

    pub(super) fn sender(&self) -> Arc<Sender> {
        Arc::clone(&self.current.lock())
    }

    /// Notes that `sender` got something acknowledged, or nothing of what it was
    /// given at `began`, and it is `now`. Puts another in its place where it is of no
    /// more use.
    pub(super) fn note(
        &self,
        sender: &Arc<Sender>,
        acknowledged: bool,
        began: Instant,
        now: Instant,
    ) {
        let since = {
            let mut in_vain = sender.in_vain.lock();
            if acknowledged {
                *in_vain = None;
                return;
            }
            *in_vain.get_or_insert(began)
        };
        let why = match sender.producer.client().fatal_error() {
            Some((_, text)) => text,
            None if now.duration_since(since) >= IN_VAIN => {
                "nothing was acknowledged for long, though the cluster answers".to_owned()
            }
            None => return,
        };
        let mut current = self.current.lock();
        if !Arc::ptr_eq(&current, sender) {
            // Another caller was faster.
            return;
        }
        match self::sender(&self.config, &self.context) {
            Ok(next) => {
                tracing::warn!(reason = %why, "the client that writes to Kafka was replaced");
                retire(std::mem::replace(&mut current, Arc::new(next)));
            }
            // The next send that fails tries again.
            Err(error) => {
                tracing::warn!(error = %error, reason = %why, "the client that writes to Kafka could not be replaced");
            }
        }
    }
}

fn sender(config: &ClientConfig, context: &Context) -> KafkaResult<Sender> {
    Ok(Sender {
        producer: config.create_with_context(context.clone())?,
        in_vain: Mutex::default(),
    })
}

/// Ends a client on a thread that may block, once its answers are out.
fn retire(old: Arc<Sender>) {
    tokio::spawn(async move {
        tokio::time::sleep(KEPT).await;
        let _ = tokio::task::spawn_blocking(move || drop(old)).await;
    });
}

#[cfg(test)]
mod tests;
