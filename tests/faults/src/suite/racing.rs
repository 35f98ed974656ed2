//! Two or three writers on one table, each with faults of its own.
//!
//! All of them commit the same partitions, merge, expire and vacuum, sleep for
//! hours and die; the position decides whose rows are in. Then a healthy one
//! brings the table to its end, and what the others sent on its way lands.

use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::{Micros, Position};
use cairn_store::table::{CompactPolicy, Table, TableError, VacuumGrace};
use parking_lot::Mutex;

use super::tables::{Ledger, SeededIds, events, ingested, open, partition};
use super::{Many, seeded};
use crate::{FaultStore, Odds, Plan, Rng, World};

/// How many things a writer does before it retires.
const ACTS: usize = 14;

struct Writer {
    world: World,
    rng: Rng,
    name: String,
    ledger: Arc<Mutex<Ledger>>,
    odds: Option<Odds>,
    attempt: usize,
    /// Acts that are left, over all its lives.
    acts: usize,
}

impl Writer {
    /// Lives until the acts are done; after each death anew.
    async fn run(mut self) -> Result<(), String> {
        for life in 0.. {
            let name = format!("{}.{life}", self.name);
            let rng = self.rng.fork(&name);
            let plan = match self.odds {
                Some(odds) => Plan::seeded(odds, rng.fork("plan")),
                None => Plan::none(),
            };
            let store = self.world.process(&name, plan, &rng);
            let ids = SeededIds::new(&rng, &name);
            let ended = tokio::select! {
                biased;
                () = store.died() => None,
                ended = self.live(&store, &ids, rng) => Some(ended),
            };
            match ended {
                Some(Err(error)) => return Err(format!("{name} is told: {error}")),
                Some(Ok(())) => return Ok(()),
                None if self.acts == 0 => return Ok(()),
                None => tokio::time::sleep(Duration::from_secs(20)).await,
            }
        }
        Ok(())
    }

    async fn live(
        &mut self,
        store: &FaultStore,
        ids: &Arc<SeededIds>,
        mut rng: Rng,
    ) -> Result<(), TableError> {
        let table = loop {
            match open(&self.world, store, ids).await {
                Ok(table) => break table,
                Err(error) if error.is_retryable() => {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
                Err(error) => return Err(error),
            }
        };
        // Where this process believes the table to stand, as its callers do.
        let mut believed = table.position();
        while self.acts > 0 {
            self.acts -= 1;
            let ended = match rng.below(100) {
                0..55 => self.commit(&table, &mut believed, &mut rng).await,
                55..67 => self.compact(&table).await,
                67..74 => self.expire(&table, &mut rng).await,
                74..82 => table.vacuum(VacuumGrace::default()).await.map(|_| ()),
                82..88 => table.refresh().await.map(|_| ()),
                _ => {
                    let hours = [0, 1, 2, 9, 30, 80][rng.below(6) as usize];
                    tokio::time::sleep(Duration::from_secs(hours * 3600 + 60)).await;
                    Ok(())
                }
            };
            match ended {
                Ok(()) => {}
                Err(TableError::Conflict { at }) => believed = at,
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Commits the next records of one partition, or of all.
    async fn commit(
        &mut self,
        table: &Table,
        believed: &mut Position,
        rng: &mut Rng,
    ) -> Result<(), TableError> {
        let ends = self.ledger.lock().ends.clone();
        let all = rng.happens(300);
        let chosen = rng.below(ends.len() as u64) as usize;
        let mark = format!("{}-{}", self.name, self.attempt);
        self.attempt += 1;
        let (mut rows, mut to) = (Vec::new(), Position::default());
        let (mut from, mut took) = (Position::default(), Vec::new());
        for (n, (number, end)) in ends.iter().enumerate() {
            if !all && n != chosen {
                continue;
            }
            let p = partition(*number);
            let first = believed.of(&p);
            let next = (first + 1 + rng.below(12) as i64).min(*end);
            from.advance(&p, first);
            to.advance(&p, next);
            if next > first {
                rows.push(events(*number, first, next, &mark));
                took.push((*number, first, next));
            }
        }
        match table.commit(rows, &from, &to).await {
            Ok(_) => {
                let mut ledger = self.ledger.lock();
                for (number, first, next) in took {
                    for offset in first..next {
                        ledger.acknowledged.insert((number, offset), mark.clone());
                    }
                }
                believed.merge(&to);
                Ok(())
            }
            Err(TableError::Conflict { at }) => {
                self.ledger.lock().refused.insert(mark);
                Err(TableError::Conflict { at })
            }
            Err(error) => Err(error),
        }
    }

    async fn compact(&self, table: &Table) -> Result<(), TableError> {
        let policy = CompactPolicy {
            min_files: 2,
            ..CompactPolicy::default()
        };
        table.compact(&policy).await.map(|_| ())
    }

    async fn expire(&self, table: &Table, rng: &mut Rng) -> Result<(), TableError> {
        let bound = ingested(5 + rng.below(25) as i64);
        {
            let mut ledger = self.ledger.lock();
            ledger.expired = ledger.expired.max(bound);
        }
        table.expire(Micros(bound)).await.map(|_| ())
    }
}

/// A writer without faults, which commits everything that is left.
async fn finish(world: &World, rng: &Rng, ledger: &Arc<Mutex<Ledger>>) -> Result<(), String> {
    let store = world.process("last", Plan::none(), rng);
    let ids = SeededIds::new(rng, "last");
    let told = |e: TableError| format!("the last writer is told: {e}");
    let table = open(world, &store, &ids).await.map_err(told)?;
    let mut position = table.position();
    let goal = ledger.lock().goal();
    while !position.reaches(&goal) {
        let rows = goal.0.iter().filter_map(|(p, end)| {
            let first = position.of(p);
            (first < *end).then(|| events(p.number, first, *end, "last"))
        });
        match table.commit(rows.collect(), &position, &goal).await {
            Ok(_) => position = goal.clone(),
            Err(TableError::Conflict { at }) => position = at,
            Err(error) => return Err(told(error)),
        }
    }
    let policy = CompactPolicy {
        min_files: 2,
        ..CompactPolicy::default()
    };
    table.compact(&policy).await.map_err(told)?;
    tokio::time::sleep(Duration::from_secs(100 * 3600)).await;
    table.vacuum(VacuumGrace::default()).await.map_err(told)?;
    Ok(())
}

async fn schedule(world: World, mut rng: Rng) -> Result<(), String> {
    let ledger = Arc::new(Mutex::new(Ledger {
        ends: [(0, 40 + rng.below(20) as i64), (1, 20)].into(),
        ..Ledger::default()
    }));
    let writers = 2 + rng.below(2);
    let mut tasks = Vec::new();
    for n in 0..writers {
        let name = format!("w{n}");
        let odds = *rng.pick(&[None, Some(Odds::SOME), Some(Odds::SOME), Some(Odds::MANY)]);
        let writer = Writer {
            world: world.clone(),
            rng: rng.fork(&name),
            name,
            ledger: Arc::clone(&ledger),
            odds,
            attempt: 0,
            acts: ACTS,
        };
        tasks.push(tokio::spawn(writer.run()));
    }
    for task in tasks {
        task.await.map_err(|e| e.to_string())??;
    }
    if rng.happens(500) {
        world.settle().await;
    }
    finish(&world, &rng, &ledger).await?;
    let ledger = ledger.lock().clone();
    ledger.check(&world).await?;
    world.settle().await;
    ledger.check(&world).await?;
    Ok(())
}

#[test]
fn writers_race_under_faults_and_every_record_is_there_once() {
    let many = Many {
        short: 60,
        long: 1200,
    };
    seeded("racing writers", many, schedule);
}
