use super::*;
use cairn_schemas::control::Role;
use cairn_schemas::selector::Among;
use cairn_schemas::{AccountId, Clock, Micros, Partition, Position, Withheld};
use cairn_store::objects::ObjectSettings;
use cairn_store::table::TableOptions;
use object_store::memory::InMemory;
use object_store::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
struct FixedClock;
impl Clock for FixedClock {
    fn now(&self) -> Micros {
        Micros(1)
    }
}

/// Never the same twice.
#[derive(Debug)]
struct Counting(AtomicU64);
impl IdSource for Counting {
    fn fill(&self, out: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = n[i % 8];
        }
    }
}

fn ambient(seed: u64) -> Ambient {
    Ambient {
        clock: Arc::new(FixedClock),
        ids: Arc::new(Counting(AtomicU64::new(seed))),
        objects: ObjectSettings::default(),
        shared: true,
        tables: TableOptions::default(),
    }
}

fn principal(accounts: Among<AccountId>) -> Principal {
    Principal {
        id: "0123456789abcdef".to_owned(),
        role: Role::Auditor,
        accounts,
        withheld: Withheld::nothing(),
    }
}

fn of_one() -> Principal {
    principal(Among::Only(
        [AccountId::new("111111111111").unwrap()].into(),
    ))
}

fn state(version: i64, next: i64) -> TableVersion {
    TableVersion {
        version,
        reach: Position::at(Partition::embedded(), next),
    }
}

fn versions(next: i64) -> BTreeMap<String, TableVersion> {
    [("history".to_owned(), state(12, next))].into()
}

async fn states() -> States {
    let control = ControlStore::new(Arc::new(InMemory::new()), Path::from(""));
    States::open(&control, &ambient(1)).await.unwrap()
}

#[tokio::test]
async fn who_reads_all_accounts_is_told_and_others_are_not() {
    let states = states().await;
    let all = states.told(&principal(Among::All), None, &versions(4_711));
    assert_eq!(
        all,
        json!({"history": {"version": 12, "reach": {"log/0": 4_711}}})
    );
    let sealed = states.told(&of_one(), None, &versions(4_711));
    let text = sealed["history"].as_str().unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&text[SEALED.len()..]).unwrap();
    let spoken = String::from_utf8_lossy(&bytes).into_owned();
    for told in ["4711", "reach", "log", "12"] {
        assert!(!spoken.contains(told), "{told}");
    }
    // Neither its length nor that it is the same as another one tells anything.
    let other = states.told(&of_one(), None, &versions(4_711_000_000));
    assert_eq!(other["history"].as_str().unwrap().len(), text.len());
    let again = states.told(&of_one(), None, &versions(4_711));
    assert_ne!(again["history"], sealed["history"]);
}

#[tokio::test]
async fn a_sealed_state_is_understood_and_told_again_as_it_was() {
    let states = states().await;
    let sealed = states.told(&of_one(), None, &versions(4_711));
    let asked = states.asked(&of_one(), &sealed).unwrap();
    let AsOf::Versions(each) = &asked else {
        panic!("{asked:?}");
    };
    let At::Sealed { version, .. } = &each["history"] else {
        panic!("{each:?}");
    };
    assert_eq!(*version, state(12, 4_711));
    assert_eq!(asked.to_json(), sealed);
    assert_eq!(
        states.told(&of_one(), Some(&asked), &versions(4_711)),
        sealed
    );
    // Somebody else, who reads everything, may use it, and sees what it says.
    let all = principal(Among::All);
    let asked = states.asked(&all, &sealed).unwrap();
    let plain = states.told(&all, Some(&asked), &versions(4_711));
    assert_eq!(plain["history"]["reach"]["log/0"], 4_711);
}

#[tokio::test]
async fn what_was_not_told_is_refused() {
    let states = states().await;
    let sealed = states.told(&of_one(), None, &versions(4_711));
    let text = sealed["history"].as_str().unwrap();
    let elsewhere = json!({"quarantine": text});
    let mut wrong = vec![
        elsewhere,
        json!({"history": SEALED}),
        json!({"history": "sealed:AAAA"}),
    ];
    for at in SEALED.len()..text.len() {
        let mut changed = text.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        wrong.push(json!({"history": String::from_utf8(changed).unwrap()}));
    }
    for wrong in &wrong {
        let error = states.asked(&principal(Among::All), wrong).unwrap_err();
        assert!(
            error.message.contains("no answer of this Cairn told"),
            "{error}"
        );
    }
    // By trying places of the log one could count what others sent.
    let plain = json!({"history": {"version": 1, "reach": {"log/0": 5}}});
    assert!(states.asked(&principal(Among::All), &plain).is_ok());
    let error = states.asked(&of_one(), &plain).unwrap_err();
    assert!(error.message.contains("who reads all accounts"), "{error}");
    for fine in [
        json!("2026-01-02T03:04:05Z"),
        json!({"history": 12, "quarantine": "2026-01-02"}),
    ] {
        assert!(states.asked(&of_one(), &fine).is_ok(), "{fine}");
    }
}

#[tokio::test]
async fn every_process_of_a_store_has_the_same_key() {
    let control = ControlStore::new(Arc::new(InMemory::new()), Path::from(""));
    let (first, second) = (ambient(1), ambient(1_000_000));
    let (one, two) = tokio::join!(
        States::open(&control, &first),
        States::open(&control, &second)
    );
    let later = States::open(&control, &ambient(2_000_000)).await.unwrap();
    let sealed = one.unwrap().told(&of_one(), None, &versions(4_711));
    for other in [two.unwrap(), later] {
        assert!(other.asked(&of_one(), &sealed).is_ok());
    }
    let strange = ControlStore::new(Arc::new(InMemory::new()), Path::from(""));
    let strange = States::open(&strange, &ambient(3_000_000)).await.unwrap();
    assert!(strange.asked(&of_one(), &sealed).is_err());
}
