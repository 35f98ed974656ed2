//! A commit in two steps, and what it depends on.

use cairn_faults::{Fault, Plan};
use cairn_schemas::{Partition, Position};

use super::support::*;
use crate::table::{Condition, TableError};

/// Another process's partition beside the embedded log.
fn other() -> Partition {
    Partition {
        source: "audit".to_owned(),
        number: 3,
    }
}

fn both(here: i64, there: i64) -> Position {
    let mut position = at(here);
    position.advance(&other(), there);
    position
}

#[tokio::test]
async fn a_commit_on_the_whole_position_is_told_of_every_other() {
    let opened = memory();
    let (ours, theirs) = (open(&opened).await, open(&opened).await);
    let prepared = ours.prepare(vec![events(0, 10)]).await.unwrap();
    assert!(ours.files().files.is_empty(), "files alone change nothing");
    let there = Position::at(other(), 5);
    theirs
        .commit(vec![], &Position::default(), &there)
        .await
        .unwrap();
    let told = ours
        .publish_prepared(&prepared, &at(0), &at(10), Condition::Whole)
        .await;
    assert!(matches!(told, Err(TableError::Conflict { at }) if at == there));
    // The same files, from where the table is.
    let listing = ours
        .publish_prepared(&prepared, &there, &both(10, 5), Condition::Whole)
        .await
        .unwrap();
    assert_eq!((listing.files.len(), ours.position()), (1, both(10, 5)));
    assert_eq!(rows(&ours).await, expected(10));

    // Without the condition, the others' partitions are their own affair.
    theirs
        .commit(vec![], &there, &Position::at(other(), 6))
        .await
        .unwrap();
    ours.commit(vec![events(10, 12)], &at(10), &at(12))
        .await
        .unwrap();
    assert_eq!(ours.position(), both(12, 6));
}

#[tokio::test]
async fn what_was_prepared_is_committed_once_however_often_it_is_published() {
    for fault in [Fault::Before, Fault::After, Fault::ExistsOwn] {
        let opened = memory();
        open(&opened).await;
        // The first put is the file, the second the entry.
        let (over, _) = struck(&opened, Plan::at_put(1, fault));
        let ours = open(&over).await;
        let theirs = open(&opened).await;
        let prepared = ours.prepare(vec![events(0, 10)]).await.unwrap();
        ours.publish_prepared(&prepared, &at(0), &at(10), Condition::Whole)
            .await
            .unwrap();
        theirs
            .commit(vec![], &Position::default(), &Position::at(other(), 5))
            .await
            .unwrap();
        // Whoever did not hear of the success asks again, from where it was.
        ours.publish_prepared(&prepared, &at(0), &at(10), Condition::Whole)
            .await
            .unwrap();
        assert_eq!(ours.position(), both(10, 5), "{fault:?}");
        assert_eq!(rows(&ours).await, expected(10), "{fault:?}");
    }
}

#[tokio::test]
async fn rows_must_lie_between_the_positions_they_are_published_with() {
    let table = open(&memory()).await;
    let prepared = table.prepare(vec![events(5, 10)]).await.unwrap();
    for (from, to) in [(6, 10), (0, 9)] {
        let refused = table
            .publish_prepared(&prepared, &at(from), &at(to), Condition::Named)
            .await;
        assert!(matches!(refused, Err(TableError::Refused { .. })));
    }
    assert_eq!(table.position(), Position::default());
}
