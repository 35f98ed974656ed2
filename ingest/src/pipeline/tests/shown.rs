//! What a process shows of events of which another committed a copy.

use super::super::*;
use super::world::{Mode, World, event, look, owned, partition, until};

fn seldom() -> PipelineOptions {
    PipelineOptions {
        commit_interval: Duration::from_secs(3600),
        last_commit: Duration::from_millis(300),
        ..PipelineOptions::default()
    }
}

async fn two() -> World {
    let world = World::new(2, seldom()).await;
    world.log.assign(0, owned(&[0]));
    world.log.assign(1, owned(&[1]));
    world.owns(0, &[0]).await;
    world.owns(1, &[1]).await;
    world
}

fn first(next: i64) -> Position {
    Position::at(partition(0), next)
}

/// Looks at process `n` all the time while `until` is not done.
async fn look_until(world: &World, n: usize, until: impl Future<Output = ()>) {
    tokio::pin!(until);
    loop {
        tokio::select! {
            biased;
            () = &mut until => return,
            () = tokio::task::yield_now() => {}
        }
        look(world.of(n)).await;
    }
}

#[tokio::test]
async fn a_copy_that_another_committed_is_never_counted_beside_the_open_one() {
    let world = two().await;
    world.send(0, vec![event(1, 0), event(2, 0)]);
    world.send(1, vec![event(3, 0), event(1, 0)]);
    world.judged(0).await;
    world.judged(1).await;
    assert!(world.of(0).handle.flush(first(2)).await);
    // Seen by it, and not learned yet.
    world.of(1).history.table().refresh().await.unwrap();
    assert_eq!(look(world.of(1)).await, Some(2), "its own two");
    // Nobody asks the second one to commit.
    look_until(&world, 1, world.shows(1, &first(2))).await;
    until("what was open is judged again", || {
        world.of(1).history.open_size().0 == 1
    })
    .await;
    assert_eq!(look(world.of(1)).await, Some(3), "the events 1, 2 and 3");
    world.flush(1).await;
    world.check().await;
}

#[tokio::test]
async fn what_others_commit_is_shown_also_where_nothing_is_committed() {
    let world = two().await;
    let begun = world.of(1).history.owned();
    world.send(1, vec![event(9, 0)]);
    world.judged(1).await;
    for round in 0..3 {
        world.send(0, vec![event(2 * round, 0), event(2 * round + 1, 0)]);
        assert!(world.of(0).handle.flush(first(2 * round as i64 + 2)).await);
        world.shows(1, &first(2 * round as i64 + 2)).await;
        assert_eq!(look(world.of(1)).await, Some(2 * round + 3));
    }
    assert_eq!(
        world.of(1).history.open_size().0,
        1,
        "its own is still open"
    );
    assert!(!begun.has_changed().unwrap(), "it began anew");
    // And it knows them: a copy of one of them is none of its rows.
    world.send(1, vec![event(3, 0)]);
    world.judged(1).await;
    assert_eq!(world.of(1).history.open_size().0, 1);
    world.flush(1).await;
    world.check().await;
}

#[tokio::test]
async fn what_others_commit_is_learned_while_an_own_commit_hangs() {
    let world = two().await;
    world.send(1, vec![event(9, 0)]);
    world.judged(1).await;
    world.of(1).gate.set(Mode::Hangs);
    let (handle, end) = (world.of(1).handle.clone(), world.log.end());
    let flushing = tokio::spawn(async move { handle.flush(end).await });
    world.send(0, vec![event(1, 0), event(2, 0)]);
    assert!(world.of(0).handle.flush(first(2)).await);
    look_until(&world, 1, world.shows(1, &first(2))).await;
    assert_eq!(look(world.of(1)).await, Some(3));
    world.of(1).gate.set(Mode::Open);
    assert!(flushing.await.unwrap());
    world.flush(0).await;
    world.check().await;
}

#[tokio::test]
async fn a_commit_that_landed_unheard_is_shown_once() {
    let world = two().await;
    world.send(1, vec![event(9, 0)]);
    world.judged(1).await;
    world.of(1).gate.set(Mode::Deaf);
    let (handle, end) = (world.of(1).handle.clone(), world.log.end());
    let flushing = tokio::spawn(async move { handle.flush(end).await });
    until("it landed", || world.of(1).gate.tried() > 0).await;
    world.send(0, vec![event(1, 0), event(9, 0)]);
    world.flush(0).await;
    assert_eq!(look(world.of(1)).await, Some(1));
    world.of(1).gate.set(Mode::Open);
    look_until(&world, 1, async { assert!(flushing.await.unwrap()) }).await;
    look_until(&world, 1, world.shows(1, &world.log.end())).await;
    assert_eq!(look(world.of(1)).await, Some(2));
    world.check().await;
}

/// Nothing of what another committed can be read, so that the last commit never
/// gets its turn: the process ends all the same.
#[tokio::test]
async fn a_stop_does_not_wait_for_what_cannot_be_learned() {
    let mut world = two().await;
    world.send(1, vec![event(9, 0)]);
    world.judged(1).await;
    world.of(1).gate.set(Mode::HangsReading);
    world.send(0, vec![event(1, 0)]);
    assert!(world.of(0).handle.flush(first(1)).await);
    world.stop(1).await;
    // What it held is read again.
    world.start(1).await;
    world.flush(1).await;
    world.check().await;
}

/// What is committed can be asked for while the ids of it are still being read.
#[tokio::test]
async fn a_process_without_its_folder_tells_how_far_it_is_and_answers_meanwhile() {
    let mut world = two().await;
    world.send(0, (0..20).map(|n| event(n, 0)).collect());
    world.send(1, vec![event(20, 0)]);
    assert!(world.of(0).handle.flush(first(20)).await);
    world.flush(1).await;
    world.stop(1).await;
    world.lose_folder(1);
    world.start_as(1, Mode::HangsReading).await;
    until("it reads", || world.of(1).progress.progress().is_some()).await;
    assert_eq!(world.of(1).progress.progress(), Some((0, 21)));
    assert!(world.of(1).history.owned().borrow().is_empty(), "not begun");
    // What others commit meanwhile is shown too: nothing is open here.
    world.send(0, vec![event(21, 0), event(22, 0)]);
    assert!(world.of(0).handle.flush(first(22)).await);
    world.shows(1, &first(22)).await;
    let shown = world.of(1).history.snapshot();
    assert_eq!(shown.files.iter().map(|f| f.rows).sum::<u64>(), 23);
    // It knows them all before it judges the next.
    world.send(1, vec![event(3, 0), event(22, 0), event(23, 0)]);
    world.of(1).gate.set(Mode::Open);
    world.flush(1).await;
    assert_eq!(world.of(1).progress.progress(), None);
    assert_eq!(look(world.of(1)).await, Some(24));
    world.check().await;
}

/// A judge is made, then the store does not answer, and until it does others commit
/// more: what the process shows by then is not what its judge knows.
#[tokio::test]
async fn a_begin_that_is_tried_again_learns_what_was_shown_meanwhile() {
    let mut world = two().await;
    world.send(0, (0..20).map(|n| event(n, 0)).collect());
    assert!(world.of(0).handle.flush(first(20)).await);
    world.stop(1).await;
    world.lose_folder(1);
    world.start_as(1, Mode::HangsReading).await;
    until("it reads", || world.of(1).progress.progress().is_some()).await;
    // It reads on, and then does not find out what has happened since.
    world.of(1).gate.set(Mode::Deaf);
    until("its judge is made", || {
        world.of(1).progress.progress().is_none()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    world.send(0, vec![event(20, 0), event(21, 0)]);
    assert!(world.of(0).handle.flush(first(22)).await);
    world.of(1).gate.set(Mode::Open);
    assert!(
        world
            .of(1)
            .history
            .refresh()
            .await
            .unwrap()
            .reaches(&first(22))
    );
    assert!(world.of(1).history.owned().borrow().is_empty(), "begun");
    world.owns(1, &[1]).await;
    world.send(1, vec![event(3, 0), event(21, 0), event(22, 0)]);
    world.flush(1).await;
    assert_eq!(look(world.of(1)).await, Some(23));
    world.check().await;
}
