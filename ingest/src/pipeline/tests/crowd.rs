//! Many processes that commit to one table.

use super::super::*;
use super::world::{World, event, owned, partition};

const PROCESSES: usize = 6;
const ROUNDS: usize = 8;

/// Each commits whenever it has something: far more often than any would.
fn eager() -> PipelineOptions {
    PipelineOptions {
        commit_interval: Duration::from_millis(1),
        commit_rows: 1,
        ..PipelineOptions::default()
    }
}

#[tokio::test]
async fn six_processes_on_one_table_all_get_through() {
    let world = World::new(PROCESSES, eager()).await;
    for n in 0..PROCESSES {
        world.log.assign(n, owned(&[n as i32]));
    }
    for n in 0..PROCESSES {
        world.owns(n, &[n as i32]).await;
    }
    for round in 0..ROUNDS {
        for n in 0..PROCESSES {
            let key = 1_000 * n + 10 * round;
            // One event of each process is the next one's too.
            let shared = 1_000 * ((n + 1) % PROCESSES) + 10 * round;
            world.send(
                n as i32,
                vec![event(key, 0), event(key + 1, 0), event(shared, 0)],
            );
        }
        // All at once, and each has to get through before the next round.
        let all = (0..PROCESSES).map(|n| {
            let own = Position::at(partition(n as i32), 3 * (round as i64 + 1));
            let handle = world.of(n).handle.clone();
            async move { handle.flush(own).await }
        });
        let flushed = futures::future::join_all(all);
        let flushed = tokio::time::timeout(Duration::from_secs(120), flushed).await;
        assert!(
            flushed
                .expect("all get through")
                .into_iter()
                .all(|done| done)
        );
    }
    world.check().await;
    let counts: Vec<_> = (0..PROCESSES).map(|n| world.of(n).counts()).collect();
    eprintln!("commits, conflicts: {counts:?}");
    let all: usize = counts.iter().map(|(commits, _)| commits).sum();
    for (n, (commits, conflicts)) in counts.into_iter().enumerate() {
        assert!(commits >= ROUNDS, "process {n}: {commits} commits");
        // Nobody tries in vain but because another got through, and each time but
        // once: between two tries everything that was committed is learned.
        let others = all - commits;
        assert!(
            conflicts <= others,
            "process {n}: {conflicts} conflicts, {others} commits"
        );
    }
}
