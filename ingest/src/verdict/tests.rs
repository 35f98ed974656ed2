use super::*;

fn accepted(n: i64) -> Verdict {
    Verdict::Accepted {
        event_id: n.to_string().into(),
    }
}

fn said(range: Range<i64>) -> impl Iterator<Item = (i64, Verdict)> {
    range.map(|n| (n, accepted(n)))
}

#[tokio::test]
async fn a_range_is_answered_once_it_is_judged() {
    let board = std::sync::Arc::new(Verdicts::new(10, 100));
    let waiting = {
        let board = std::sync::Arc::clone(&board);
        tokio::spawn(async move { board.wait(11..13).await })
    };
    board.publish(10..12, said(10..12));
    assert!(!waiting.is_finished());
    board.publish(12..13, said(12..13));
    assert_eq!(
        waiting.await.unwrap(),
        Some(vec![accepted(11), accepted(12)])
    );
    assert_eq!(board.at(), 13);
}

#[tokio::test]
async fn what_was_forgotten_is_said_to_be_so() {
    let board = Verdicts::new(0, 2);
    board.publish(0..5, said(0..5));
    assert_eq!(board.wait(2..4).await, None);
    assert_eq!(board.wait(3..5).await, Some(vec![accepted(3), accepted(4)]));
    board.publish(9..10, said(9..10));
    // Holes in the offsets are no missing verdicts.
    assert_eq!(
        board.wait(4..10).await,
        Some(vec![accepted(4), accepted(9)])
    );
    assert_eq!(board.wait(9..10).await, Some(vec![accepted(9)]));
}

#[tokio::test]
async fn whoever_waits_for_a_partition_that_moved_away_is_told() {
    let boards = Boards::new(10);
    let partition = Partition {
        source: "audit".to_owned(),
        number: 0,
    };
    let owned = BTreeSet::from([partition.clone()]);
    boards.begin(&owned, &Position::default());
    let board = boards.of(&partition).unwrap();
    let waiting = tokio::spawn(async move { board.wait(0..1).await });
    boards.begin(&BTreeSet::new(), &Position::default());
    assert_eq!(waiting.await.unwrap(), None);
    assert!(boards.of(&partition).is_none());
}
