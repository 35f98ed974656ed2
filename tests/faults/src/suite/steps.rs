//! Every operation of a table's life x every fault.
//!
//! A life of a table, from its making over commits, a merge, an expiry and a
//! vacuum, is lived again for every one of its operations and every way in
//! which that operation can go wrong. Whoever dies is started anew; whoever is
//! told to try again does. In the end every record is there once.

use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::{Micros, Position};
use cairn_store::table::{CompactPolicy, Table, TableError, VacuumGrace};
use parking_lot::Mutex;

use super::tables::{HOUR, Ledger, SeededIds, events, ingested, open, partition};
use super::{Counted, is_long};
use crate::{Fault, FaultStore, Plan, Rng, World};

const END: i64 = 60;
const BATCH: i64 = 10;
/// Rows below it are let go of.
const EXPIRED_BELOW: i64 = 25;

fn policy() -> CompactPolicy {
    CompactPolicy {
        min_files: 2,
        ..CompactPolicy::default()
    }
}

/// What a process remembers of its life's course; a new one begins anew.
#[derive(Default)]
struct Done {
    compacted: bool,
    expired: bool,
    vacuumed: bool,
}

/// A caller's loop around one process: it goes on where the table stands and
/// repeats what it is told to repeat. `Err` is what no caller should see.
async fn live(
    world: &World,
    store: &FaultStore,
    rng: &Rng,
    name: &str,
    ledger: &Mutex<Ledger>,
) -> Result<(), TableError> {
    let ids = SeededIds::new(rng, name);
    let table = again(|| open(world, store, &ids)).await?;
    let mut position = table.position();
    let (mut attempt, mut done) = (0, Done::default());
    loop {
        let first = position.of(&partition(0));
        if first >= END {
            return Ok(());
        }
        if first >= 20 && !done.compacted {
            let policy = policy();
            again(|| table.compact(&policy)).await?;
            done.compacted = true;
        }
        if first >= 40 && !done.expired {
            again(|| table.expire(Micros(ingested(EXPIRED_BELOW)))).await?;
            done.expired = true;
            // The world waits until the vacuum has something to do.
            tokio::time::sleep(Duration::from_secs(7 * 3600)).await;
        }
        if first >= 50 && !done.vacuumed {
            again(|| table.vacuum(VacuumGrace::default())).await?;
            done.vacuumed = true;
        }
        let next = (first + BATCH).min(END);
        let mark = format!("{name}-{attempt}");
        attempt += 1;
        commit(&table, &mut position, next, &mark, ledger).await?;
    }
}

async fn commit(
    table: &Table,
    position: &mut Position,
    next: i64,
    mark: &str,
    ledger: &Mutex<Ledger>,
) -> Result<(), TableError> {
    let first = position.of(&partition(0));
    let to = Position::at(partition(0), next);
    match table
        .commit(vec![events(0, first, next, mark)], position, &to)
        .await
    {
        Ok(_) => {
            let mut ledger = ledger.lock();
            for offset in first..next {
                ledger.acknowledged.insert((0, offset), mark.to_owned());
            }
            *position = to;
        }
        Err(TableError::Conflict { at }) => {
            ledger.lock().refused.insert(mark.to_owned());
            *position = at;
        }
        Err(error) if error.is_retryable() => {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Tries until it is told something else than to try again.
async fn again<T, F>(act: impl Fn() -> F) -> Result<T, TableError>
where
    F: Future<Output = Result<T, TableError>>,
{
    loop {
        match act().await {
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            ended => return ended,
        }
    }
}

/// One schedule: `plan` in the first process, none in those after it; `others`
/// processes without faults live beside it. Returns how many
/// operations of the first process went wrong.
async fn schedule(world: World, plan: Plan, others: usize) -> Result<usize, String> {
    let rng = Rng::new(7);
    let ledger = Arc::new(Mutex::new(Ledger {
        ends: [(0, END)].into(),
        expired: ingested(EXPIRED_BELOW),
        ..Ledger::default()
    }));
    let first = world.process("first", plan, &rng);
    let lives = (0..others).map(|n| {
        let (world, ledger, rng) = (world.clone(), Arc::clone(&ledger), rng.clone());
        tokio::spawn(async move {
            let name = format!("other{n}");
            let store = world.process(&name, Plan::none(), &rng);
            live(&world, &store, &rng, &name, &ledger).await
        })
    });
    let lives: Vec<_> = lives.collect();
    let ended = tokio::select! {
        biased;
        () = first.died() => None,
        ended = live(&world, &first, &rng, "first", &ledger) => Some(ended),
    };
    if let Some(ended) = ended {
        ended.map_err(|e| format!("the first process is told: {e}"))?;
    }
    let store = world.process("second", Plan::none(), &rng);
    live(&world, &store, &rng, "second", &ledger)
        .await
        .map_err(|e| format!("the second process is told: {e}"))?;
    for life in lives {
        let ended = life.await.map_err(|e| e.to_string())?;
        ended.map_err(|e| format!("another process is told: {e}"))?;
    }
    let ledger = ledger.lock().clone();
    ledger.check(&world).await?;
    world.settle().await;
    ledger.check(&world).await?;
    Ok(first.faults())
}

/// What may go wrong with any operation.
const FAULTS: &[Fault] = &[
    Fault::Before,
    Fault::After,
    Fault::Late(1),
    Fault::Late(6),
    Fault::Late(40),
    Fault::ExistsNot,
    Fault::ExistsOwn,
    Fault::DieBefore,
    Fault::DieAfter,
    Fault::DieLate(1),
    Fault::DieLate(9),
    Fault::DieLate(70),
    Fault::Truncated,
    Fault::Missing,
    Fault::Stale,
    Fault::StaleList(1),
    Fault::StaleList(3),
    Fault::SlowDown(4),
    Fault::SlowDown(40),
    Fault::Slow(90_000),
    Fault::StallBefore(2 * 3_600_000),
    Fault::StallAfter(2 * 3_600_000),
    Fault::StallBefore(100 * 3_600_000),
    Fault::StallAfter(100 * 3_600_000),
];

/// Those that make the difference between done, not done and done later.
const DURABLE: &[Fault] = &[
    Fault::Before,
    Fault::After,
    Fault::Late(6),
    Fault::ExistsNot,
    Fault::ExistsOwn,
    Fault::DieBefore,
    Fault::DieAfter,
    Fault::DieLate(9),
];

/// Runs `schedule` for every place that `plan` can strike.
fn everywhere(name: &str, faults: &[Fault], others: usize, plan: fn(usize, Fault) -> Plan) {
    let mut counted = Counted::default();
    for fault in faults {
        for n in 0.. {
            let struck = Arc::new(Mutex::new(0));
            let out = Arc::clone(&struck);
            counted.run(&format!("{fault:?} at {n}"), |world| async move {
                *out.lock() = schedule(world, plan(n, *fault), others).await?;
                Ok(())
            });
            if *struck.lock() == 0 {
                break;
            }
            assert!(n < 1000, "a life of a thousand operations");
        }
    }
    assert!(
        counted.end(name) > 8 * faults.len(),
        "hardly anything was struck"
    );
}

#[test]
fn every_put_of_a_life_done_not_done_or_done_later() {
    everywhere("every put", DURABLE, 0, Plan::at_put);
}

#[test]
fn every_put_of_a_life_beside_another_writer() {
    let faults = if is_long() { FAULTS } else { &DURABLE[1..4] };
    everywhere("every put beside another", faults, 1, Plan::at_put);
}

#[test]
fn every_operation_of_a_life_gone_wrong_in_every_way() {
    let faults = if is_long() {
        FAULTS
    } else {
        &[Fault::Before, Fault::DieAfter]
    };
    everywhere("every operation", faults, 0, Plan::at);
}

#[test]
fn expiry_keeps_what_it_should() {
    // What the schedules take for granted.
    assert!(ingested(EXPIRED_BELOW) < crate::DAWN - HOUR);
}
