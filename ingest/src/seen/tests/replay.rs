//! Replay safety: random logs, crashes at random points with the index durable
//! at others, files lost or damaged, and always the same history in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use cairn_schemas::{Micros, Partition, Position};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{flip, runs, scratch, small, spread};
use crate::seen::*;

/// Key and content of each record of each partition.
type Log = Vec<Vec<(u8, u8)>>;

#[derive(Clone, Debug)]
enum Step {
    /// Take some records of a partition in.
    Take(usize, usize),
    Commit,
    Freeze,
    /// Each of the three phases of background work apart.
    Begin,
    Run,
    Finish,
    Flush,
    Crash(Loss),
}

#[derive(Clone, Debug)]
enum Loss {
    Nothing,
    Run(usize),
    Byte(usize, usize),
    Manifest,
    Folder,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    partition: usize,
    offset: i64,
    name: (u8, u8),
    flagged: bool,
}

fn partition(number: usize) -> Partition {
    Partition {
        source: "log".to_owned(),
        number: number as i32,
    }
}

/// A pipeline around the index: what it has taken in, and what is committed.
struct World {
    dir: TempDir,
    log: Log,
    index: Option<SeenIndex>,
    work: Option<Work>,
    done: Option<Done>,
    batch: Vec<Row>,
    next: Vec<usize>,
    history: Vec<Row>,
    committed: Vec<usize>,
    /// Every verdict ever given, by place.
    verdicts: Vec<(usize, i64, Seen)>,
}

impl World {
    fn new(log: Log) -> Self {
        let start = vec![0; log.len()];
        let mut world = Self {
            dir: scratch(),
            log,
            index: None,
            work: None,
            done: None,
            batch: Vec::new(),
            next: start.clone(),
            history: Vec::new(),
            committed: start,
            verdicts: Vec::new(),
        };
        world.start();
        world
    }

    fn position(at: &[usize]) -> Position {
        let named = at.iter().enumerate();
        Position(named.map(|(p, n)| (partition(p), *n as i64)).collect())
    }

    fn candidate(index: &mut SeenIndex, number: usize, offset: i64, name: (u8, u8)) -> Candidate {
        Candidate {
            key: SeenKey(spread(u128::from(name.0))),
            content: ContentId(u128::from(name.1)),
            at: Place {
                partition: index.slot(&partition(number)).unwrap(),
                offset,
                item: 0,
            },
            ingest: Micros(offset),
        }
    }

    /// What a start does: open, restore from history, replay the log.
    fn start(&mut self) {
        let committed = Self::position(&self.committed);
        let options = SeenOptions {
            committed: Some(committed.clone()),
            ..small()
        };
        let mut index = SeenIndex::open(self.dir.path(), options).unwrap();
        let covered = index.covered();
        assert!(committed.reaches(&covered));
        let ahead = |aside: &SetAside| aside.why.contains("more than history");
        assert!(!index.set_aside().iter().any(ahead));
        for row in self.history.iter().rev() {
            if !covered.covers(&partition(row.partition), row.offset) {
                let known = Self::candidate(&mut index, row.partition, row.offset, row.name);
                index.restore(known, row.flagged).unwrap();
            }
        }
        index.advance(&Self::position(&self.committed)).unwrap();
        self.index = Some(index);
        self.next = self.committed.clone();
        self.batch.clear();
    }

    fn crash(&mut self, loss: &Loss) {
        self.work = None;
        self.done = None;
        self.index = None;
        let files = runs(&self.dir);
        let manifest = self.dir.path().join("seen.json");
        let file = |n: usize| (!files.is_empty()).then(|| &files[n % files.len()]);
        match loss {
            Loss::Nothing => {}
            Loss::Run(n) => {
                if let Some(path) = file(*n) {
                    fs::remove_file(path).unwrap();
                }
            }
            Loss::Byte(n, position) => {
                if let Some(path) = file(*n) {
                    flip(path, *position);
                }
            }
            Loss::Manifest => {
                let _ = fs::remove_file(manifest);
            }
            Loss::Folder => fs::remove_dir_all(self.dir.path()).unwrap(),
        }
        self.start();
    }

    /// A damaged run ends the pipeline; it starts again.
    fn heed<T>(&mut self, outcome: Result<T, SeenError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(SeenError::Damaged { .. } | SeenError::MustReopen) => {
                self.crash(&Loss::Nothing);
                None
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn take(&mut self, number: usize, count: usize) {
        let number = number % self.log.len();
        let (from, to) = (self.next[number], self.next[number] + count);
        let to = to.min(self.log[number].len());
        let index = self.index.as_mut().unwrap();
        let names = &self.log[number][from..to];
        let numbered = || names.iter().zip(from as i64..);
        let events: Vec<Candidate> = numbered()
            .map(|(name, offset)| Self::candidate(index, number, offset, *name))
            .collect();
        let rows: Vec<(i64, (u8, u8))> = numbered().map(|(n, offset)| (offset, *n)).collect();
        let outcome = index.check_batch(&events);
        let Some(verdicts) = self.heed(outcome) else {
            return;
        };
        for ((offset, name), verdict) in rows.into_iter().zip(verdicts) {
            self.verdicts.push((number, offset, verdict));
            if verdict.admits() {
                self.batch.push(Row {
                    partition: number,
                    offset,
                    name,
                    flagged: matches!(verdict, Seen::Conflict(_)),
                });
            }
        }
        self.next[number] = to;
        let reached = Self::position(&self.next);
        self.index.as_mut().unwrap().advance(&reached).unwrap();
    }

    fn step(&mut self, step: &Step) {
        let index = self.index.as_mut().unwrap();
        match step {
            Step::Take(number, count) => self.take(*number, *count),
            Step::Commit => {
                self.history.append(&mut self.batch);
                self.committed = self.next.clone();
                index.committed(&Self::position(&self.committed)).unwrap();
            }
            Step::Freeze => index.freeze(),
            Step::Begin if self.work.is_none() && self.done.is_none() => {
                self.work = index.next_work();
            }
            Step::Begin => {}
            Step::Run => {
                if let Some(work) = self.work.take() {
                    self.done = Some(work.run());
                }
            }
            Step::Finish => {
                if let Some(done) = self.done.take() {
                    let outcome = index.finish(done);
                    self.heed(outcome);
                }
            }
            Step::Flush => {
                let outcome = index.flush();
                self.heed(outcome);
            }
            Step::Crash(loss) => self.crash(loss),
        }
    }

    /// Plays the rest of the log, with a commit at the end.
    fn complete(&mut self) {
        // A damaged run may start the pipeline over, once for each run.
        while (0..self.log.len()).any(|n| self.next[n] < self.log[n].len()) {
            for number in 0..self.log.len() {
                self.take(number, 5);
            }
        }
        self.step(&Step::Commit);
        self.history.sort();
    }
}

/// What one partition's log must come to, by the plain words of the rule.
fn expected(log: &[(u8, u8)]) -> Vec<Seen> {
    let mut first: BTreeMap<(u8, u8), i64> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    let mut out = Vec::new();
    for (name, offset) in log.iter().zip(0..) {
        out.push(match first.get(name) {
            Some(first) => Seen::Duplicate(super::place(*first)),
            None if keys.contains(&name.0) => Seen::Conflict(None),
            None => Seen::New,
        });
        first.entry(*name).or_insert(offset);
        keys.insert(name.0);
    }
    out
}

fn alike(seen: &Seen, expected: &Seen) -> bool {
    match (seen, expected) {
        (Seen::Conflict(_), Seen::Conflict(_)) => true,
        _ => seen == expected,
    }
}

fn losses() -> impl Strategy<Value = Loss> {
    prop_oneof![
        6 => Just(Loss::Nothing),
        2 => any::<usize>().prop_map(Loss::Run),
        2 => any::<(usize, usize)>().prop_map(|(n, at)| Loss::Byte(n, at)),
        1 => Just(Loss::Manifest),
        1 => Just(Loss::Folder),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0usize..4, 1usize..8).prop_map(|(p, n)| Step::Take(p, n)),
        3 => Just(Step::Commit),
        2 => Just(Step::Freeze),
        3 => Just(Step::Begin),
        3 => Just(Step::Run),
        3 => Just(Step::Finish),
        1 => Just(Step::Flush),
        3 => losses().prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

fn log(partitions: usize) -> impl Strategy<Value = Log> {
    let records = prop::collection::vec((0u8..24, 0u8..3), 0..80);
    prop::collection::vec(records, partitions)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// One partition: whatever happens, every verdict ever given, the first
    /// time or on a replay, is the one that the log alone decides; and history
    /// holds each admitted event once.
    #[test]
    fn one_partition_replays_alike(log in log(1), steps in steps()) {
        let expected = expected(&log[0]);
        let mut world = World::new(log.clone());
        steps.iter().for_each(|step| world.step(step));
        world.complete();
        for (_, offset, seen) in &world.verdicts {
            let wanted = &expected[*offset as usize];
            prop_assert!(alike(seen, wanted), "{}: {:?}, not {:?}", offset, seen, wanted);
        }
        let admitted = expected.iter().enumerate().filter(|(_, seen)| seen.admits());
        let rows: Vec<Row> = admitted
            .map(|(offset, seen)| Row {
                partition: 0,
                offset: offset as i64,
                name: log[0][offset],
                flagged: matches!(seen, Seen::Conflict(_)),
            })
            .collect();
        prop_assert_eq!(world.history, rows);
    }

    /// Several partitions: each content of each key is in history exactly
    /// once, and none is flagged that has no rival.
    #[test]
    fn several_partitions_lose_and_repeat_nothing(log in log(3), steps in steps()) {
        let mut world = World::new(log.clone());
        steps.iter().for_each(|step| world.step(step));
        world.complete();
        let sent: BTreeSet<(u8, u8)> = log.iter().flatten().copied().collect();
        let mut kept: Vec<(u8, u8)> = world.history.iter().map(|row| row.name).collect();
        kept.sort_unstable();
        prop_assert_eq!(&kept, &sent.iter().copied().collect::<Vec<_>>());
        for row in world.history.iter().filter(|row| row.flagged) {
            let rivals = sent.iter().filter(|name| name.0 == row.name.0);
            prop_assert!(rivals.count() > 1, "{:?} is flagged alone", row);
        }
    }
}
