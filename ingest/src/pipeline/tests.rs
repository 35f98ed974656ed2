mod copied;
mod crowd;
mod decided;
mod many;
mod schedules;
mod shown;
mod world;

use bytes::Bytes;

use cairn_schemas::Partition;

use super::*;
use crate::testing::{ACCOUNT, Rig, event, expected, ids_of};
use crate::verdict::Verdict;

fn seldom() -> PipelineOptions {
    PipelineOptions {
        commit_interval: Duration::from_secs(3600),
        ..PipelineOptions::default()
    }
}

async fn history_ids(rig: &Rig) -> Vec<String> {
    ids_of(rig.history.table(), &rig.history.snapshot()).await
}

#[tokio::test]
async fn an_answered_event_is_visible_before_and_after_its_commit() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, seldom()).await;
    let verdicts = rig.send((0..10).map(|n| event(ACCOUNT, n)).collect()).await;
    assert!(
        verdicts
            .iter()
            .all(|v| matches!(v, Verdict::Accepted { .. }))
    );
    assert_eq!(rig.history.snapshot().files.len(), 0);
    assert_eq!(history_ids(&rig).await, expected(0..10));
    rig.flush().await;
    let snapshot = rig.history.snapshot();
    assert_eq!((snapshot.files.len(), snapshot.fresh.len()), (1, 0));
    assert_eq!(history_ids(&rig).await, expected(0..10));
    rig.close().await;
}

#[tokio::test]
async fn a_crash_at_any_time_neither_loses_nor_repeats() {
    let dir = tempfile::tempdir().unwrap();
    for life in 0..6u64 {
        let rig = Rig::open(dir.path(), life + 1, seldom()).await;
        // Everything of earlier lives comes again: from the log, and sent anew.
        let next = life as usize * 7;
        let verdicts = rig
            .send((0..next + 7).map(|n| event(ACCOUNT, n)).collect())
            .await;
        let accepted = verdicts
            .iter()
            .filter(|v| matches!(v, Verdict::Accepted { .. }))
            .count();
        assert_eq!(accepted, 7, "life {life}");
        assert_eq!(
            history_ids(&rig).await,
            expected(0..next + 7),
            "life {life}"
        );
        if life % 2 == 0 {
            rig.flush().await;
        }
        rig.crash().await;
    }
}

#[tokio::test]
async fn same_id_other_bytes_is_kept_and_flagged_also_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let other = Bytes::from(
        String::from_utf8(event(ACCOUNT, 1).to_vec())
            .unwrap()
            .replace("Op1", "Other"),
    );
    let rig = Rig::open(dir.path(), 1, seldom()).await;
    rig.send(vec![event(ACCOUNT, 1)]).await;
    rig.flush().await;
    rig.close().await;
    let rig = Rig::open(dir.path(), 2, seldom()).await;
    let verdicts = rig
        .send(vec![
            other.clone(),
            event(ACCOUNT, 1),
            other,
            event("222222222222", 1),
        ])
        .await;
    let accepted: Vec<bool> = verdicts
        .iter()
        .map(|v| matches!(v, Verdict::Accepted { .. }))
        .collect();
    assert_eq!(accepted, [true, false, false, true], "{verdicts:?}");
    assert_eq!(history_ids(&rig).await, ["id-1", "id-1", "id-1"]);
    rig.close().await;
}

#[tokio::test]
async fn what_is_no_event_is_quarantined_once_also_when_the_crash_comes_between() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, seldom()).await;
    let bad = Bytes::from_static(b"{\"eventName\": ");
    let verdicts = rig
        .send(vec![event(ACCOUNT, 0), bad.clone(), event(ACCOUNT, 1)])
        .await;
    assert!(
        matches!(
            &verdicts[1],
            Verdict::Refused {
                code: "invalid_json",
                ..
            }
        ),
        "{verdicts:?}"
    );
    let rows = |rig: &Rig| {
        let s = rig.history.quarantine_snapshot();
        s.files.iter().map(|f| f.rows).sum::<u64>()
            + s.fresh.iter().map(|b| b.num_rows() as u64).sum::<u64>()
    };
    assert_eq!(rows(&rig), 1);
    // As a crash between quarantine's commit and history's would leave it.
    let fresh = rig.history.quarantine_snapshot().fresh;
    rig.history
        .quarantine()
        .commit(fresh, &Position::default(), &rig.end())
        .await
        .unwrap();
    rig.crash().await;
    let rig = Rig::open(dir.path(), 2, seldom()).await;
    rig.send(vec![bad, event(ACCOUNT, 2)]).await;
    rig.flush().await;
    assert_eq!(rows(&rig), 2);
    assert_eq!(history_ids(&rig).await, expected(0..3));
    rig.close().await;
}

#[tokio::test]
async fn a_flush_without_news_returns() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open(dir.path(), 1, seldom()).await;
    rig.flush().await;
    rig.send(vec![event(ACCOUNT, 0)]).await;
    rig.flush().await;
    rig.flush().await;
    assert_eq!(rig.history.snapshot().files.len(), 1);
    rig.close().await;
}

#[tokio::test]
async fn rows_beyond_the_limit_are_committed_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let options = PipelineOptions {
        commit_rows: 10,
        ..seldom()
    };
    let rig = Rig::open(dir.path(), 1, options).await;
    let mut committed = rig.history.subscribe();
    for n in 0..30 {
        rig.send(vec![event(ACCOUNT, n)]).await;
    }
    committed
        .wait_for(|p| p.of(&Partition::embedded()) >= 10)
        .await
        .unwrap();
    assert_eq!(history_ids(&rig).await, expected(0..30));
    rig.close().await;
}
