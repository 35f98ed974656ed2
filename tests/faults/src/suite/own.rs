//! The tools themselves: a store that lies as it is told to, and a checker
//! that sees what is wrong.

use cairn_schemas::Position;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use super::run;
use super::tables::{Ledger, ROOT, SeededIds, events, open, partition};
use crate::{Fault, Plan, Rng, World, check};

async fn create(
    store: &dyn ObjectStore,
    key: &str,
    body: &'static str,
) -> object_store::Result<()> {
    let payload = PutPayload::from(body);
    let key = Path::from(key);
    let created = store.put_opts(&key, payload, PutMode::Create.into());
    created.await.map(|_| ())
}

async fn body(store: &dyn ObjectStore, key: &str) -> Option<String> {
    let object = store.get(&Path::from(key)).await.ok()?;
    let bytes = object.bytes().await.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn in_a_world<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let ended = run(|world| async move {
        test(world).await;
        Ok(())
    });
    ended.outcome.unwrap();
}

#[test]
fn a_put_fails_before_after_or_late() {
    in_a_world(|world| async move {
        let rng = Rng::new(1);
        for (fault, lies_there) in [
            (Fault::Before, false),
            (Fault::After, true),
            (Fault::ExistsNot, false),
            (Fault::ExistsOwn, true),
        ] {
            let key = format!("{fault:?}");
            let store = world.process(&key, Plan::at(0, fault), &rng);
            let error = create(&store, &key, "x").await.unwrap_err();
            let exists = matches!(error, Error::AlreadyExists { .. });
            let told = matches!(fault, Fault::ExistsNot | Fault::ExistsOwn);
            assert_eq!(exists, told, "{fault:?}");
            let there = world.store().head(&Path::from(key)).await.is_ok();
            assert_eq!(there, lies_there, "{fault:?}");
        }
    });
}

#[test]
fn a_late_put_loses_against_whoever_came_first() {
    in_a_world(|world| async move {
        let rng = Rng::new(1);
        let late = world.process("late", Plan::at(0, Fault::Late(3)), &rng);
        let other = world.process("other", Plan::none(), &rng);
        create(&late, "lonely", "late").await.unwrap_err();
        assert_eq!(body(&other, "lonely").await, None);
        assert_eq!(body(&other, "x").await, None);
        assert_eq!(body(&other, "lonely").await.as_deref(), Some("late"));
        let late = world.process("late", Plan::at(0, Fault::Late(3)), &rng);
        create(&late, "contested", "late").await.unwrap_err();
        create(&other, "contested", "other").await.unwrap();
        world.settle().await;
        assert_eq!(body(&other, "contested").await.as_deref(), Some("other"));
    });
}

#[test]
fn the_dead_do_nothing_more() {
    in_a_world(|world| async move {
        let rng = Rng::new(1);
        let dying = world.process("dying", Plan::at(1, Fault::DieAfter), &rng);
        create(&dying, "a", "1").await.unwrap();
        let both = async {
            let _ = create(&dying, "b", "2").await;
            create(&dying, "c", "3").await.unwrap();
        };
        tokio::select! {
            () = dying.died() => {}
            () = both => panic!("a dead process went on"),
        }
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
        let there = world.list(None).await.unwrap();
        assert_eq!(there.len(), 2, "a and b");
    });
}

#[test]
fn reads_lie_as_they_are_told() {
    in_a_world(|world| async move {
        let rng = Rng::new(1);
        let honest = world.process("honest", Plan::none(), &rng);
        let key = Path::from("k");
        honest.put(&key, PutPayload::from("older")).await.unwrap();
        honest.put(&key, PutPayload::from("newer!")).await.unwrap();
        honest
            .put(&Path::from("z"), PutPayload::from(""))
            .await
            .unwrap();
        let plan = Plan::at(0, Fault::Truncated)
            .and(None, 1, Fault::Missing)
            .and(None, 2, Fault::Stale)
            .and(None, 3, Fault::Flipped);
        let liar = world.process("liar", plan, &rng);
        assert_eq!(body(&liar, "k").await.as_deref(), Some("new"));
        assert_eq!(body(&liar, "k").await, None);
        assert_eq!(body(&liar, "k").await.as_deref(), Some("older"));
        assert_ne!(body(&liar, "k").await.as_deref(), Some("newer!"));
        assert_eq!(body(&liar, "k").await.as_deref(), Some("newer!"));
        let stale = world.process("stale", Plan::at(0, Fault::StaleList(1)), &rng);
        let listed = |store: crate::FaultStore| async move {
            use futures::TryStreamExt;
            let all: Vec<_> = store.list(None).try_collect().await.unwrap();
            all.len()
        };
        assert_eq!(listed(stale.clone()).await, 1);
        assert_eq!(listed(stale).await, 2);
    });
}

#[test]
fn one_seed_gives_one_course() {
    let course = || {
        run(|world| async move {
            let rng = Rng::new(5);
            let plan = Plan::seeded(crate::Odds::MANY, rng.fork("plan"));
            let store = world.process("p", plan, &rng);
            let acts = async {
                for n in 0..60 {
                    let _ = create(&store, &format!("k{}", n % 7), "x").await;
                    let _ = body(&store, "k3").await;
                }
            };
            tokio::select! {
                () = store.died() => {}
                () = acts => {}
            }
            Ok(())
        })
    };
    let (one, two) = (course(), course());
    assert!(one.trace.contains("!!"));
    assert_eq!(one.trace, two.trace);
}

/// A small table in which everything is right.
async fn table(world: &World) -> Ledger {
    let rng = Rng::new(2);
    let store = world.process("writer", Plan::none(), &rng);
    let ids = SeededIds::new(&rng, "writer");
    let table = open(world, &store, &ids).await.unwrap();
    let mut ledger = Ledger::default();
    ledger.ends.insert(0, 50);
    for first in (0..50).step_by(10) {
        let to = Position::at(partition(0), first + 10);
        let rows = vec![events(0, first, first + 10, "w")];
        table.commit(rows, &table.position(), &to).await.unwrap();
    }
    ledger.check(world).await.unwrap();
    ledger
}

async fn swap(world: &World, key: &Path, from: &str, to: &str) {
    let text = body(world.store().as_ref(), key.as_ref()).await.unwrap();
    assert!(text.contains(from), "{key} holds no {from}");
    let changed = text.replace(from, to);
    world
        .store()
        .put(key, PutPayload::from(changed))
        .await
        .unwrap();
}

/// What may be wrong with a table, and what the checker says of it.
#[test]
fn the_checker_sees_what_is_wrong() {
    type Harm = fn(&World, Vec<Path>) -> futures::future::BoxFuture<'_, ()>;
    let harms: [(&str, Harm); 6] = [
        ("is lost", |world, _| {
            Box::pin(async move {
                swap(world, &entry(5), "\"add\"", "\"gone\"").await;
            })
        }),
        ("is listed", |world, files| {
            Box::pin(async move {
                world.store().delete(&files[2]).await.unwrap();
            })
        }),
        ("goes from", |world, _| {
            Box::pin(async move {
                swap(world, &entry(3), "\"version\":30", "\"version\":20").await;
            })
        }),
        ("the log says", |world, files| {
            Box::pin(async move {
                let bytes = world
                    .store()
                    .get(&files[1])
                    .await
                    .unwrap()
                    .bytes()
                    .await
                    .unwrap();
                world
                    .store()
                    .put(&files[0], PutPayload::from(bytes))
                    .await
                    .unwrap();
            })
        }),
        ("follows entry", |world, _| {
            Box::pin(async move {
                world.store().delete(&entry(2)).await.unwrap();
            })
        }),
        ("is there twice", |world, _| {
            Box::pin(async move {
                // A commit that was put a second time under the next number.
                let text = body(world.store().as_ref(), entry(5).as_ref())
                    .await
                    .unwrap();
                world
                    .store()
                    .put(&entry(6), PutPayload::from(text))
                    .await
                    .unwrap();
            })
        }),
    ];
    for (wanted, harm) in harms {
        let ended = run(|world| async move {
            let ledger = table(&world).await;
            let folder = Path::from(ROOT);
            let all = world.list(Some(&folder)).await.map_err(|e| e.to_string())?;
            let files = all.into_iter().map(|m| m.location);
            let files: Vec<Path> = files
                .filter(|p| p.as_ref().contains("ingest_date"))
                .collect();
            harm(&world, files).await;
            ledger.check(&world).await.map(|_| ())
        });
        let said = ended.outcome.unwrap_err();
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

fn entry(version: i64) -> Path {
    Path::from(format!("{ROOT}/_delta_log/{version:020}.json"))
}

#[test]
fn the_checker_reads_an_empty_place() {
    in_a_world(|world| async move {
        let nowhere = Path::from("nothing");
        let truth = check::read(world.store().as_ref(), &nowhere, "log");
        let truth = truth.await.unwrap();
        assert_eq!((truth.version, truth.rows.len()), (-1, 0));
    });
}
