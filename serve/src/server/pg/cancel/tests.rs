//! Only the right secret stops a statement, and only the one that runs.

use super::*;
use crate::server::ambient::SystemIds;

#[tokio::test]
async fn only_the_secret_stops_and_only_what_runs() {
    let all = Cancels::new(Arc::new(SystemIds));
    for long in [false, true] {
        let session = all.register(long);
        let key = session.key().to_bytes().to_vec();
        assert_eq!(key.len(), if long { 32 } else { 4 });
        // Nothing runs: nothing is stopped, now or after.
        all.request(session.pid, &key);
        let running = session.begin();
        assert!(!running.token.is_cancelled());
        let mut wrong = key.clone();
        wrong[0] ^= 1;
        all.request(session.pid, &wrong);
        all.request(session.pid, &key[..3]);
        all.request(session.pid, &[]);
        all.request(session.pid ^ 1, &key);
        assert!(!running.token.is_cancelled());
        all.request(session.pid, &key);
        running.token().cancelled().await;
        drop(running);
        assert!(!session.begin().token.is_cancelled());
    }
    assert!(all.sessions.lock().is_empty());
}
