//! What other processes did to the same store: documents that they wrote,
//! files that they committed to history.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::app::{App, Shared};

/// How long others' changes stay unknown at the most, while the store answers
/// at once.
const EVERY: Duration = Duration::from_secs(1);
/// The longest pause while the store does not answer.
const PAUSE: Duration = Duration::from_secs(30);

/// Looks again and again, if there are others.
pub async fn follow(app: Shared, stop: CancellationToken) {
    if !app.shared {
        return;
    }
    let mut pause = EVERY;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match look(&app).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(error = %error, "what other processes changed cannot be read, trying again");
                (pause * 2).min(PAUSE)
            }
        };
    }
}

/// Looks once. A document that is damaged hides none of the others.
async fn look(app: &App) -> anyhow::Result<()> {
    let keys = app.control.keys().await?;
    let registry = app.registry.refresh(&keys).await;
    let trails = app.trails.refresh(&keys).await;
    let exports = app.exports.refresh(&keys).await;
    let saved = app.saved.refresh(&keys).await;
    app.history.refresh().await?;
    registry?;
    exports?;
    saved?;
    trails
}
