//! One body to the server, again and again while it may pass.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::read::Piece;
use crate::client::{Client, ClientError, Receipt};

/// How often, and how long in between.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Attempts after the first.
    pub(super) retries: u32,
    /// The wait before the first of them; each further one is twice as long.
    pub(super) first: Duration,
    /// No wait is longer, unless the server asks for it.
    pub(super) most: Duration,
}

impl Patience {
    fn wait(&self, attempt: u32, error: &ClientError) -> Duration {
        let asked = error
            .api()
            .and_then(|api| api.retry_after)
            .map(|wait| wait.min(Duration::from_secs(30)));
        let doubled = self.first.saturating_mul(1 << attempt.min(16));
        asked.unwrap_or_else(|| doubled.min(self.most))
    }
}

/// What became of one body.
#[derive(Debug)]
pub(super) struct Delivered {
    /// The body, without its bytes.
    pub(super) piece: Piece,
    /// The answer.
    pub(super) result: Result<Receipt, ClientError>,
}

/// Sends `piece`. To repeat is safe even where the first attempt arrived and
/// only its answer was lost: the server recognises each event.
pub(super) async fn deliver(
    client: Client,
    mut piece: Piece,
    account: Option<String>,
    patience: Patience,
    notes: UnboundedSender<String>,
) -> Delivered {
    let mut attempt = 0;
    let body = std::mem::take(&mut piece.body);
    let result = loop {
        let sent = client
            .events(body.clone(), piece.encoding, account.as_deref())
            .await;
        match sent {
            Err(error) if error.may_pass() && attempt < patience.retries => {
                if attempt == 0 {
                    // Nobody listens any more after Control-C.
                    let _ = notes.send(format!("{error}\ntrying again …"));
                }
                tokio::time::sleep(patience.wait(attempt, &error)).await;
                attempt += 1;
            }
            other => break other,
        }
    };
    Delivered { piece, result }
}
