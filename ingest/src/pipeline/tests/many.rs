//! Two processes, one history: the cases that have names.

use super::super::*;
use super::world::{Mode, World, event, look, owned, partition};

/// Commits only where a flush or a change asks for it.
pub(super) fn seldom() -> PipelineOptions {
    PipelineOptions {
        commit_interval: Duration::from_secs(3600),
        last_commit: Duration::from_millis(300),
        ..PipelineOptions::default()
    }
}

async fn two() -> World {
    two_with(seldom()).await
}

async fn two_with(options: PipelineOptions) -> World {
    let world = World::new(2, options).await;
    world.log.assign(0, owned(&[0]));
    world.log.assign(1, owned(&[1]));
    world.owns(0, &[0]).await;
    world.owns(1, &[1]).await;
    world
}

#[tokio::test]
async fn the_same_event_through_two_processes_is_one_row() {
    let world = two().await;
    world.send(0, vec![event(1, 0), event(2, 0)]);
    world.send(1, vec![event(3, 0), event(1, 0)]);
    world.judged(0).await;
    world.judged(1).await;
    assert_eq!(
        world.of(0).history.open_size().0,
        2,
        "both took it for the first"
    );
    assert_eq!(world.of(1).history.open_size().0, 2);
    let (a, b) = tokio::join!(
        world.of(0).handle.flush(world.log.end()),
        world.of(1).handle.flush(world.log.end())
    );
    assert!(a && b);
    world.check().await;
    look(world.of(0)).await;
    look(world.of(1)).await;
}

#[tokio::test]
async fn other_bytes_under_one_id_through_two_processes_are_both_kept() {
    let world = two().await;
    world.send(0, vec![event(1, 0)]);
    world.send(1, vec![event(1, 1), event(1, 2)]);
    world.judged(0).await;
    world.judged(1).await;
    // Each waits for both: the second to commit learns of the first.
    tokio::join!(world.flush(0), world.flush(1));
    world.check().await;
}

#[tokio::test]
async fn what_others_commit_is_learned_without_beginning_anew() {
    let world = two().await;
    let begun = world.of(1).history.owned();
    for round in 0..5 {
        world.send(0, vec![event(10 * round, 0), event(10 * round + 1, 0)]);
        let own = Position::at(partition(0), 2 * round as i64 + 2);
        assert!(world.of(0).handle.flush(own).await);
        world.send(1, vec![event(10 * round + 2, 0), event(10 * round + 3, 0)]);
        world.flush(1).await;
    }
    // All of the first process's, through the second: known there.
    world.send(1, (0..5).map(|round| event(10 * round, 0)).collect());
    world.judged(1).await;
    assert_eq!(world.of(1).history.open_size().0, 0, "known by learning");
    assert!(!begun.has_changed().unwrap(), "it began anew");
    world.flush(1).await;
    world.check().await;
}

#[tokio::test]
async fn open_rows_move_on_with_their_partition() {
    let world = two().await;
    world.of(0).gate.set(Mode::Refuses("history"));
    world.send(0, vec![event(1, 0), event(2, 0)]);
    world.judged(0).await;
    world.log.assign(0, owned(&[]));
    world.owns(0, &[]).await;
    world.log.assign(1, owned(&[0, 1]));
    world.owns(1, &[0, 1]).await;
    world.flush(1).await;
    world.of(0).gate.set(Mode::Open);
    // And back, with everything known.
    world.log.assign(1, owned(&[]));
    world.owns(1, &[]).await;
    world.log.assign(0, owned(&[0, 1]));
    world.owns(0, &[0, 1]).await;
    world.send(0, vec![event(2, 0), event(2, 1), event(3, 0)]);
    world.flush(0).await;
    world.check().await;
}

#[tokio::test]
async fn what_is_open_is_committed_before_partitions_move() {
    // The last commit gets the time that it takes on a busy machine.
    let patient = PipelineOptions {
        last_commit: Duration::from_secs(60),
        ..seldom()
    };
    let world = two_with(patient).await;
    world.send(0, vec![event(1, 0), event(2, 0)]);
    world.judged(0).await;
    world.log.assign(0, owned(&[]));
    world.owns(0, &[]).await;
    world.shows(1, &Position::at(partition(0), 2)).await;
    world.check().await;
}

#[tokio::test]
async fn a_zombie_that_wakes_changes_nothing() {
    let world = two().await;
    world.log.deafen(0, true);
    world.of(0).gate.set(Mode::Hangs);
    world.send(0, vec![event(1, 0), event(2, 0)]);
    world.judged(0).await;
    let handle = world.of(0).handle.clone();
    let end = world.log.end();
    let zombie = tokio::spawn(async move { handle.flush(end).await });
    world.log.assign(0, owned(&[]));
    world.log.assign(1, owned(&[0, 1]));
    world.owns(1, &[0, 1]).await;
    world.send(0, vec![event(3, 0)]);
    world.flush(1).await;
    world.check().await;
    // It wakes, and its put is done where another's lies.
    world.of(0).gate.set(Mode::Open);
    assert!(zombie.await.unwrap());
    world.log.deafen(0, false);
    world.owns(0, &[]).await;
    world.check().await;
}

#[tokio::test]
async fn a_commit_that_landed_unheard_is_not_repeated() {
    let world = two().await;
    world.of(0).gate.set(Mode::Deaf);
    world.send(0, vec![event(1, 0)]);
    world.judged(0).await;
    let handle = world.of(0).handle.clone();
    let target = Position::at(partition(0), 1);
    let flushing = tokio::spawn(async move { handle.flush(target).await });
    let seen = || async {
        let at = world.of(1).history.refresh().await.unwrap();
        at.of(&partition(0)) == 1
    };
    while !seen().await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Others go on, and what came in since waits for its turn.
    world.send(1, vec![event(5, 0)]);
    world.flush(1).await;
    world.send(0, vec![event(2, 0), event(5, 0)]);
    world.judged(0).await;
    world.of(0).gate.set(Mode::Open);
    assert!(flushing.await.unwrap());
    world.flush(0).await;
    world.check().await;
}

#[tokio::test]
async fn a_flush_waits_for_what_others_own() {
    let world = two().await;
    world.send(1, vec![event(1, 0)]);
    world.judged(1).await;
    let handle = world.of(0).handle.clone();
    let end = world.log.end();
    let flushing = tokio::spawn(async move { handle.flush(end).await });
    // It holds up nothing: the loop takes records, and another flush.
    world.send(0, vec![event(2, 0)]);
    world.judged(0).await;
    let own = Position::at(partition(0), 1);
    assert!(world.of(0).handle.flush(own).await);
    assert!(!flushing.is_finished());
    world.flush(1).await;
    assert!(flushing.await.unwrap());
    world.check().await;
}
