use super::*;
use crate::selector::{Field, ReadWrite};

struct AnyEvent;
impl EventFacts for AnyEvent {
    fn account(&self) -> &str {
        "111111111111"
    }
    fn region(&self) -> Option<&str> {
        None
    }
    fn read_write(&self) -> ReadWrite {
        ReadWrite::Read
    }
    fn category(&self) -> Option<&str> {
        None
    }
    fn any(&self, _: Field, _: &mut dyn FnMut(&str) -> bool) -> bool {
        false
    }
}

fn version(n: u64, at: i64, change: TrailChange, status: TrailStatus) -> TrailVersion {
    TrailVersion {
        id: TrailId::new(&"a".repeat(32)).unwrap(),
        name: TrailName::new("writes").unwrap(),
        version: n,
        change,
        at: Micros(0),
        by: "admin".to_owned(),
        effective: Position::at(Partition::embedded(), at),
        status,
        selector: Selector::default(),
        destination: Destination {
            url: "file:///t".to_owned(),
            endpoint: None,
            region: None,
        },
        retention_days: None,
        replaces: None,
    }
}

#[test]
fn each_record_is_judged_by_the_version_at_its_offset() {
    let mut update = version(3, 20, TrailChange::Updated, TrailStatus::Enable);
    update.selector.read_write = crate::selector::ReadWriteFilter::Write;
    let trail = Trail::new(vec![
        version(1, 5, TrailChange::Created, TrailStatus::Fresh),
        version(2, 10, TrailChange::Started, TrailStatus::Enable),
        update,
        version(4, 30, TrailChange::Stopped, TrailStatus::Disable),
    ])
    .unwrap();
    let log = Partition::embedded();
    let judge = |offset| trail.decide(&log, offset, &AnyEvent).map(|v| v.version);
    assert_eq!(judge(4), Err(Why::NotYetMade));
    assert_eq!(
        judge(9),
        Err(Why::NotDelivering {
            version: 1,
            status: TrailStatus::Fresh
        })
    );
    assert_eq!(judge(10), Ok(2));
    assert_eq!(judge(19), Ok(2));
    assert_eq!(
        judge(20),
        Err(Why::Refused {
            version: 3,
            refusal: Refusal::ReadWrite
        })
    );
    assert_eq!(
        judge(30),
        Err(Why::NotDelivering {
            version: 4,
            status: TrailStatus::Disable
        })
    );
    assert_eq!(trail.starts_at().of(&log), 10);
}

#[test]
fn a_version_that_was_replaced_never_judges() {
    let mut again = version(3, 20, TrailChange::Stopped, TrailStatus::Disable);
    again.replaces = Some(2);
    let stopped = version(2, 10, TrailChange::Stopped, TrailStatus::Disable);
    let created = version(1, 0, TrailChange::Created, TrailStatus::Enable);
    let log = Partition::embedded();
    let whole = Trail::new(vec![created.clone(), stopped.clone(), again.clone()]).unwrap();
    let mut grown = Trail::new(vec![created, stopped]).unwrap();
    assert_eq!(grown.in_force(&log, 10).unwrap().version, 2);
    grown.push(again).unwrap();
    for trail in [whole, grown] {
        let at = |offset| trail.in_force(&log, offset).unwrap().version;
        assert_eq!([at(9), at(10), at(19), at(20)], [1, 1, 1, 3]);
        assert_eq!(
            trail.versions().len(),
            3,
            "what was asked for is still told"
        );
    }
}

#[test]
fn a_missing_version_is_noticed() {
    let created = version(1, 0, TrailChange::Created, TrailStatus::Fresh);
    let third = version(3, 0, TrailChange::Started, TrailStatus::Enable);
    assert!(matches!(Trail::new(vec![]), Err(TrailError::Empty)));
    assert!(matches!(
        Trail::new(vec![created.clone(), third.clone()]),
        Err(TrailError::Gap {
            after: 1,
            found: 3,
            ..
        })
    ));
    assert!(Trail::new(vec![created]).unwrap().push(third).is_err());
}

#[test]
fn a_trail_is_shown_to_those_who_read_all_that_it_ever_took() {
    let only = |ids: &[&str]| -> Among<AccountId> {
        Among::Only(ids.iter().map(|id| AccountId::new(id).unwrap()).collect())
    };
    let (a, b) = ("111111111111", "222222222222");
    let of = |accounts: Among<AccountId>, n: u64| {
        let mut v = version(n, 0, TrailChange::Updated, TrailStatus::Enable);
        v.selector.accounts = accounts;
        v
    };
    let trail = |all: Vec<Among<AccountId>>| {
        let versions = all.into_iter().zip(1..).map(|(among, n)| of(among, n));
        Trail::new(versions.collect()).unwrap()
    };
    let of_a = trail(vec![only(&[a])]);
    assert!(of_a.visible_to(&only(&[a])));
    assert!(of_a.visible_to(&only(&[a, b])));
    assert!(!of_a.visible_to(&only(&[b])));
    assert!(!of_a.visible_to(&only(&[])));
    assert!(of_a.visible_to(&Among::All));
    assert!(!trail(vec![only(&[a, b])]).visible_to(&only(&[a])));

    // Of all accounts: for those who read all, however many they read.
    assert!(!trail(vec![Among::All]).visible_to(&only(&[a, b])));
    assert!(trail(vec![Among::All]).visible_to(&Among::All));

    // What it took before counts as much as what it takes now.
    for before in [only(&[b]), Among::All] {
        let narrowed = trail(vec![before, only(&[a])]);
        assert!(!narrowed.visible_to(&only(&[a])));
        assert!(narrowed.visible_to(&Among::All));
    }
}
