//! One table's entry decides what another one lists.

use std::sync::Arc;

use cairn_faults::Plan;
use cairn_schemas::Position;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::support::*;
use crate::objects::Opened;
use crate::table::{Condition, Pledge, Prepared, Table, TableError};

/// The place of the second table beside the first one's.
fn second(first: &Opened) -> Opened {
    Opened::new(Arc::clone(&first.store), Path::from("tables/second"))
}

/// The first table goes from `from` to `to` without rows of its own, and pledges
/// the events between to the second.
async fn pledge(first: &Table, second: &Table, from: i64, to: i64) -> (Prepared, Pledge) {
    let prepared = second.prepare(vec![events(from, to)]).await.unwrap();
    let pledge = second.pledge(&prepared, &at(from), &at(to)).unwrap();
    let nothing = first.prepare(Vec::new()).await.unwrap();
    let (from, to) = (at(from), at(to));
    first
        .publish_pledging(&nothing, &from, &to, Condition::Whole, Some(&pledge))
        .await
        .unwrap();
    (prepared, pledge)
}

#[tokio::test]
async fn a_pledge_is_listed_once_whoever_keeps_it_and_whatever_fails() {
    for fault in FAULTS {
        let opened = memory();
        let first = open(&opened).await;
        let (ours, theirs) = (open(&second(&opened)).await, open(&second(&opened)).await);
        let (prepared, pledge) = pledge(&first, &ours, 0, 7).await;
        assert!(ours.files().files.is_empty(), "nothing lists it yet");
        assert_eq!(first.pledged(), at(7));
        let (over, store) = struck(&second(&opened), Plan::at_put(0, fault));
        let struck = open(&over).await;
        // By who has it, by who reads of it, and again by both.
        if let Some(kept) = alive(&store, struck.keep(&pledge, Some(&prepared))).await {
            kept.unwrap();
        }
        let found = first.pledges_beyond(&theirs.position()).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&pledge), "{fault:?}");
        theirs.keep(&found[0], None).await.unwrap();
        ours.keep(&pledge, Some(&prepared)).await.unwrap();
        theirs.keep(&pledge, None).await.unwrap();
        for table in [&ours, &theirs, &open(&second(&opened)).await] {
            assert_eq!(table.position(), at(7), "{fault:?}");
            assert_eq!(rows(table).await, expected(7), "{fault:?}");
        }
        let kept = first.pledges_beyond(&ours.position()).await.unwrap();
        assert!(kept.is_empty());
    }
}

#[tokio::test]
async fn what_is_pledged_is_found_after_a_checkpoint_too() {
    let opened = memory();
    let (first, ours) = (open(&opened).await, open(&second(&opened)).await);
    for n in 0..3 {
        pledge(&first, &ours, 5 * n, 5 * n + 5).await;
    }
    first.commit(vec![], &at(15), &at(20)).await.unwrap();
    // Opened from the checkpoint of version 3, which the Delta kernel wrote of
    // entries that hold pledges.
    let again = open(&opened).await;
    assert_eq!(again.pledged(), at(15));
    let found = again.pledges_beyond(&Position::default()).await.unwrap();
    let to: Vec<_> = found.iter().map(|p| p.to().clone()).collect();
    assert_eq!(to, [at(5), at(10), at(15)], "the oldest first");
    assert_eq!(again.pledges_beyond(&at(10)).await.unwrap().len(), 1);
    for pledge in &found {
        ours.keep(pledge, None).await.unwrap();
    }
    assert_eq!(rows(&ours).await, expected(15));
}

/// Replaces `what` in the entry that pledges, and opens the table.
async fn tampered(what: &str, with: &str) -> Result<Table, TableError> {
    let opened = memory();
    let (first, ours) = (open(&opened).await, open(&second(&opened)).await);
    pledge(&first, &ours, 0, 7).await;
    let key = first.log.key("_delta_log/00000000000000000001.json");
    let entry = opened.store.get(&key).await.unwrap().bytes().await.unwrap();
    let text = String::from_utf8(entry.to_vec()).unwrap();
    assert!(text.contains(what), "{text}");
    let text = text.replace(what, with);
    opened
        .store
        .put(&key, PutPayload::from(text))
        .await
        .unwrap();
    try_open(&opened).await
}

#[tokio::test]
async fn an_entry_whose_pledge_is_not_as_it_was_put_is_refused() {
    tampered("numRecords", "numRecords").await.unwrap();
    for (what, with) in [
        ("numRecords", "numRecordz"),
        ("cairnPledge\"", "cairnPlédge\""),
        ("cairnPledgeSha256", "cairnPledgeSha257"),
    ] {
        let told = tampered(what, with).await;
        assert!(
            matches!(&told, Err(TableError::Damaged { what, .. }) if what.contains("pledge")),
            "{with}: {told:?}"
        );
    }
}

#[tokio::test]
async fn a_pledge_whose_file_is_gone_is_not_kept_but_told() {
    let opened = memory();
    let (first, ours) = (open(&opened).await, open(&second(&opened)).await);
    let (prepared, pledge) = pledge(&first, &ours, 0, 7).await;
    let path = &prepared.made.files[0].0;
    opened.store.delete(&ours.log.key(path)).await.unwrap();
    let told = ours.keep(&pledge, None).await;
    assert!(
        matches!(&told, Err(TableError::Damaged { what, .. }) if what.contains("is gone")),
        "{told:?}"
    );
    assert_eq!(ours.position(), Position::default());
}
