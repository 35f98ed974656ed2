use super::*;

fn accepted(n: i64) -> Verdict {
    Verdict::Accepted {
        event_id: n.to_string().into(),
    }
}

#[tokio::test]
async fn a_range_is_answered_once_it_is_judged() {
    let board = std::sync::Arc::new(Verdicts::new(10, 100));
    let waiting = {
        let board = std::sync::Arc::clone(&board);
        tokio::spawn(async move { board.wait(11..13).await })
    };
    board.publish(10, vec![accepted(10), accepted(11)].into_iter());
    assert!(!waiting.is_finished());
    board.publish(12, vec![accepted(12)].into_iter());
    assert_eq!(
        waiting.await.unwrap(),
        Some(vec![accepted(11), accepted(12)])
    );
    assert_eq!(board.at(), 13);
}

#[tokio::test]
async fn what_was_forgotten_is_said_to_be_so() {
    let board = Verdicts::new(0, 2);
    board.publish(0, (0..5).map(accepted).collect::<Vec<_>>().into_iter());
    assert_eq!(board.wait(2..4).await, None);
    assert_eq!(board.wait(3..5).await, Some(vec![accepted(3), accepted(4)]));
    board.publish(9, vec![accepted(9)].into_iter());
    assert_eq!(board.wait(4..10).await, None);
    assert_eq!(board.wait(9..10).await, Some(vec![accepted(9)]));
}
