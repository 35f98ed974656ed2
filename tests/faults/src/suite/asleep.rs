//! A writer that sleeps for days in the middle of a commit, while others go on
//! and clean up: a laptop that was closed, a machine that was suspended.

use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::Position;
use cairn_store::table::{CompactPolicy, TableError, VacuumGrace};
use parking_lot::Mutex;

use super::Counted;
use super::tables::{Ledger, SeededIds, events, open, partition};
use crate::{Fault, Plan, Rng, World};

const DAYS_4: u64 = 4 * 86_400_000;

/// A writer commits ten records and stalls. Where `busy`, another commits ten of
/// another partition, later ten more, and merges; else nobody takes the number
/// in the log that the writer has in hand. Somebody vacuums; the writer wakes.
async fn schedule(
    world: World,
    plan: Plan,
    busy: bool,
    woken: Arc<Mutex<usize>>,
) -> Result<(), String> {
    let rng = Rng::new(3);
    let told = |e: TableError| e.to_string();
    let ends = [(0, 20), (1, if busy { 20 } else { 0 })];
    let ledger = Arc::new(Mutex::new(Ledger {
        ends: ends.into(),
        ..Ledger::default()
    }));
    let write = async |number: i32, first: i64, name: &str, plan: Plan| {
        let store = world.process(name, plan, &rng);
        let ids = SeededIds::new(&rng, name);
        let table = open(&world, &store, &ids).await.map_err(told)?;
        let mut attempt = 0;
        loop {
            let position = table.position();
            let from = Position::at(partition(number), position.of(&partition(number)));
            if from.of(&partition(number)) > first {
                break;
            }
            let mark = format!("{name}-{attempt}");
            attempt += 1;
            let to = Position::at(partition(number), first + 10);
            let rows = vec![events(number, first, first + 10, &mark)];
            match table.commit(rows, &from, &to).await {
                Ok(_) | Err(TableError::Conflict { .. }) => {}
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(told(error)),
            }
        }
        Ok((store.faults(), table))
    };
    write(0, 0, "before", Plan::none()).await?;
    let sleeper = write(0, 10, "sleeper", plan);
    let others = async {
        if busy {
            write(1, 0, "other", Plan::none()).await?;
        }
        tokio::time::sleep(Duration::from_secs(80 * 3600)).await;
        // Of the first ten, which are there: only opens where not busy.
        let number = i32::from(busy);
        let (_, table) = write(number, number as i64 * 10, "another", Plan::none()).await?;
        if busy {
            let policy = CompactPolicy {
                min_files: 2,
                ..CompactPolicy::default()
            };
            table.compact(&policy).await.map_err(told)?;
        }
        table.vacuum(VacuumGrace::default()).await.map_err(told)?;
        Ok::<_, String>(())
    };
    let (slept, others) = tokio::join!(sleeper, others);
    others?;
    *woken.lock() = slept?.0;
    let ledger = ledger.lock().clone();
    ledger.check(&world).await.map(|_| ())
}

#[test]
fn a_commit_that_slept_past_the_vacuum_lists_nothing_that_is_gone() {
    let mut counted = Counted::default();
    let stalls = [Fault::StallBefore(DAYS_4), Fault::StallAfter(DAYS_4)];
    for (fault, busy) in stalls.into_iter().flat_map(|f| [(f, true), (f, false)]) {
        for n in 0.. {
            let woken = Arc::new(Mutex::new(0));
            let out = Arc::clone(&woken);
            counted.run(&format!("{fault:?} at {n}, busy {busy}"), |world| {
                schedule(world, Plan::at(n, fault), busy, out)
            });
            if *woken.lock() == 0 {
                break;
            }
        }
    }
    assert!(counted.end("asleep") >= 24);
}
