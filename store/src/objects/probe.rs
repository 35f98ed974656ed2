//! Whether a store's put-if-absent is real.
//!
//! Every commit rests on it, and stores that take the condition and ignore it,
//! or check first and write later, exist. So it is tried at the start: many
//! creates of one fresh key at once, of which exactly one may succeed.

use std::sync::Arc;

use bytes::Bytes;
use cairn_schemas::IdSource;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use super::{Opened, with_causes};

/// A key for `what`, under the folder that it is about, which is removed at
/// once; a crash may leave it. `id` is 32 hexadecimal digits.
pub(crate) fn scratch(what: &str, id: &str) -> String {
    format!("_cairn/{what}-{id}")
}

/// Whether `key` is one that [`scratch`] makes.
pub(crate) fn is_scratch(key: &str) -> bool {
    key.rsplit_once('-').is_some_and(|(before, id)| {
        matches!(before, "_cairn/probe" | "_cairn/clock")
            && id.len() == 32
            && id.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// The race.
#[derive(Clone, Copy, Debug)]
pub struct CasProbe {
    /// The rounds with small objects.
    pub small: Rounds,
    /// The rounds with large ones: they keep a store that looks first and
    /// writes later busy between the two.
    pub large: Rounds,
}

/// Rounds of one kind; each has a key of its own.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// How many.
    pub rounds: usize,
    /// How many create the key at once.
    pub racers: usize,
    /// How many bytes each brings.
    pub bytes: usize,
}

impl CasProbe {
    /// For a place that is new to Cairn. A store that looks first and writes
    /// later (versitygw 1.7.0) let several win in 22 % of the large rounds when
    /// it was raced, so twelve find it out nineteen times in twenty. Takes 96 MiB.
    pub fn thorough() -> Self {
        Self {
            large: Rounds {
                rounds: 12,
                ..Self::quick().large
            },
            ..Self::quick()
        }
    }

    /// For a place that Cairn has used before: whether the store still honours
    /// the condition. Takes 8 MiB.
    pub fn quick() -> Self {
        Self {
            small: Rounds {
                rounds: 3,
                racers: 32,
                bytes: 8,
            },
            large: Rounds {
                rounds: 1,
                racers: 8,
                bytes: 1 << 20,
            },
        }
    }
}

/// What the race showed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The store cannot decide between committers.
    #[error(
        "the store {store} does not honour put-if-absent: of {racers} creates of one new key \
         {winners} succeeded, and exactly one may. Two writers would overwrite each other's \
         commits, so Cairn does not use it. Use a store with atomic conditional writes \
         (If-None-Match), or update this one: releases of MinIO (2025, without a read quorum), \
         SeaweedFS (issue 8800), versitygw (issue 2288), RustFS with several endpoints (issue 1659), \
         s3s-fs and floci are known to let several win"
    )]
    NotAtomic {
        /// The store.
        store: String,
        /// How many tried.
        racers: usize,
        /// How many succeeded.
        winners: usize,
    },
    /// The race could not be held.
    #[error(
        "the store {store} could not be tested: {reason}. Check the address, the credentials, the certificates (s3.ca_file) and that writing is allowed"
    )]
    Unavailable {
        /// The store.
        store: String,
        /// What it said.
        reason: String,
    },
}

impl CasProbe {
    /// Holds the race under `opened`'s folder, and removes its keys.
    pub async fn run(&self, opened: &Opened, ids: &dyn IdSource) -> Result<(), ProbeError> {
        for kind in [self.small, self.large] {
            for _ in 0..kind.rounds {
                let name = scratch("probe", &ids.hex128());
                let key = opened.at(&name).prefix;
                let outcome = kind.race(&opened.store, &key).await;
                if let Err(error) = opened.store.delete(&key).await
                    && !matches!(error, Error::NotFound { .. })
                {
                    tracing::warn!(%key, %error, "probe object not removed");
                }
                outcome?;
            }
        }
        Ok(())
    }
}

impl Rounds {
    async fn race(&self, store: &Arc<dyn ObjectStore>, key: &Path) -> Result<(), ProbeError> {
        let unavailable = |reason: String| ProbeError::Unavailable {
            store: store.to_string(),
            reason,
        };
        let filling = Bytes::from(vec![b'.'; self.bytes]);
        let create = |racer: usize| {
            let store = Arc::clone(store);
            let key = key.clone();
            let filling = filling.clone();
            // Tasks of their own, so that they truly race.
            tokio::spawn(async move {
                let body = PutPayload::from_iter([Bytes::from(racer.to_string()), filling]);
                store.put_opts(&key, body, PutMode::Create.into()).await
            })
        };
        let answers = join_all((0..self.racers).map(create)).await;
        let (mut winners, mut losers) = (0, 0);
        for answer in answers {
            match answer.map_err(|e| unavailable(e.to_string()))? {
                Ok(_) => winners += 1,
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => losers += 1,
                // No answer is no vote: a store may refuse a large body before
                // it has come, and break the connection off.
                Err(e) => tracing::debug!(%key, error = %with_causes(&e), "no answer in the race"),
            }
        }
        // One late create more: a store that takes the condition and ignores
        // it may still have let one win by chance. This one has to be answered.
        match store
            .put_opts(key, PutPayload::from("late"), PutMode::Create.into())
            .await
        {
            Ok(_) => winners += 1,
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => losers += 1,
            Err(e) => return Err(unavailable(with_causes(&e))),
        }
        if winners > 1 {
            return Err(ProbeError::NotAtomic {
                store: store.to_string(),
                racers: self.racers + 1,
                winners,
            });
        }
        // No winner with nothing but losers: the winner's own answer was lost
        // and its repeat met its own object. That is no vote against the store.
        match winners + losers > 1 {
            true => Ok(()),
            false => Err(unavailable("none of the racers was answered".to_owned())),
        }
    }
}
