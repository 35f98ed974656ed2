//! Memory for bodies on their way in: a place for each, so that many large
//! ones at once wait instead of taking the process's memory.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::http::error::ApiError;
use crate::config;

/// KiB for bodies as sent, all together.
const SENT: usize = 256 << 10;
/// KiB for bodies after decompression, all together.
const INFLATED: usize = 256 << 10;

/// See the module's documentation. Two pools, for whoever holds a place in the
/// first may wait for one in the second.
#[derive(Debug)]
pub struct Room {
    sent: Arc<Semaphore>,
    inflated: Arc<Semaphore>,
    settings: config::Server,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub struct Place(OwnedSemaphorePermit);

fn kib(bytes: u64, most: usize) -> u32 {
    let kib = usize::try_from(bytes >> 10).unwrap_or(most) + 1;
    u32::try_from(kib.min(most)).unwrap_or(u32::MAX)
}

impl Room {
    /// Room for bodies within the limits of `settings`.
    pub fn new(settings: &config::Server) -> Self {
        Self {
            sent: Arc::new(Semaphore::new(SENT)),
            inflated: Arc::new(Semaphore::new(INFLATED)),
            settings: settings.clone(),
        }
    }

    /// A place for a body as sent, of `length` bytes where it says so.
    pub async fn for_body(&self, length: Option<u64>) -> Result<Place, ApiError> {
        let most = self.settings.max_body_bytes;
        self.take(&self.sent, kib(length.unwrap_or(most).min(most), SENT))
            .await
    }

    /// A place for what a compressed body may become.
    pub async fn for_inflated(&self) -> Result<Place, ApiError> {
        self.take(
            &self.inflated,
            kib(self.settings.max_decompressed_bytes, INFLATED),
        )
        .await
    }

    async fn take(&self, pool: &Arc<Semaphore>, kib: u32) -> Result<Place, ApiError> {
        let taken = Arc::clone(pool).acquire_many_owned(kib);
        match tokio::time::timeout(self.settings.request_timeout, taken).await {
            Ok(Ok(permit)) => Ok(Place(permit)),
            _ => Err(ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                "too many events are on their way in",
            )
            .hint("send again in a moment, in smaller bodies or on fewer connections; nothing was taken")),
        }
    }
}

impl Place {
    /// Gives back what `bytes` do not need.
    pub fn shrink(&mut self, bytes: usize) {
        let needed = usize::try_from(kib(bytes as u64, INFLATED)).unwrap_or(INFLATED);
        if let Some(more) = self.0.num_permits().checked_sub(needed) {
            drop(self.0.split(more));
        }
    }
}
