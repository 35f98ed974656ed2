use super::*;
use cairn_schemas::Micros;
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

#[derive(Debug, Default)]
struct Counting(AtomicU64);
impl IdSource for Counting {
    fn fill(&self, out: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = n[i % 8];
        }
    }
}

async fn open(control: &ControlStore) -> Registry {
    let ids = Arc::new(Counting(AtomicU64::new(7)));
    Registry::open(control.clone(), Arc::new(FixedClock), ids, "test", None)
        .await
        .unwrap()
}

fn control() -> ControlStore {
    ControlStore::new(Arc::new(InMemory::new()), Path::from(""))
}

#[tokio::test]
async fn a_token_opens_the_door_until_it_is_revoked_also_after_a_restart() {
    let control = control();
    let registry = open(&control).await;
    let account = AccountId::new("111111111111").unwrap();
    let accounts = Among::Only([account.clone()].into());
    registry
        .create_token("cairn", Role::Admin, Among::All, None)
        .await
        .unwrap();
    let (doc, text) = registry
        .create_token("cairn", Role::Auditor, accounts, None)
        .await
        .unwrap();
    let principal = registry.authenticate(&text).unwrap();
    assert_eq!(
        (principal.id.as_str(), principal.role),
        (doc.id.as_str(), Role::Auditor)
    );
    assert!(!principal.may_write("111111111111"));
    assert_eq!(principal.readable(), Among::Only([account].into()));

    assert!(registry.holds(&principal));
    let more = Principal {
        accounts: Among::All,
        ..principal.clone()
    };
    assert!(!registry.holds(&more), "it holds what it was never given");
    let other = Principal {
        role: Role::Admin,
        ..principal.clone()
    };
    assert!(!registry.holds(&other));

    assert_eq!(registry.made(&text), Some(doc.id.clone()));
    assert_eq!(
        registry.made(&format!("cairn_{}_wrong", doc.id)),
        Some(doc.id.clone())
    );
    assert_eq!(registry.made("cairn_ffffffffffffffff_x"), None);
    assert_eq!(registry.made("hunter2"), None);

    for wrong in [
        "",
        "cairn_",
        &text[..text.len() - 1],
        &text.replace('_', "-"),
        &format!("{text}0"),
    ] {
        assert!(
            registry.authenticate(wrong).is_none(),
            "{wrong:?} was taken"
        );
    }
    let stored = serde_json::to_string(&doc).unwrap();
    assert!(
        !stored.contains(text.rsplit('_').next().unwrap()),
        "the secret is stored"
    );

    registry.revoke_token("cairn", &doc.id).await.unwrap();
    assert!(registry.authenticate(&text).is_none());
    assert!(!registry.holds(&principal));
    assert!(registry.holds(&Principal::cairn()));
    assert!(open(&control).await.authenticate(&text).is_none());
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let registry = open(&control()).await;
    let (first, _) = registry
        .create_token("cairn", Role::Admin, Among::All, None)
        .await
        .unwrap();
    let refused = registry.revoke_token("cairn", &first.id).await;
    assert!(matches!(refused, Err(RegistryError::LastAdmin)));
    registry
        .create_token("cairn", Role::Admin, Among::All, None)
        .await
        .unwrap();
    registry.revoke_token("cairn", &first.id).await.unwrap();
}

#[tokio::test]
async fn accounts_come_and_go_and_come_back() {
    let control = control();
    let registry = open(&control).await;
    let id = AccountId::new("111111111111").unwrap();
    registry
        .add_account("sender", id.clone(), None, true)
        .await
        .unwrap();
    assert!(
        registry
            .add_account("admin", id.clone(), None, false)
            .await
            .is_err()
    );
    registry
        .add_account("admin", id.clone(), Some("prod".to_owned()), false)
        .await
        .unwrap();
    registry.remove_account("admin", &id).await.unwrap();
    assert!(registry.remove_account("admin", &id).await.is_err());
    let again = registry
        .add_account("admin", id, None, false)
        .await
        .unwrap();
    assert_eq!(
        (again.version, again.name.as_deref(), again.member),
        (4, Some("prod"), true)
    );
    assert_eq!(open(&control).await.accounts(), vec![again]);
}

async fn refresh(registry: &Registry, control: &ControlStore) {
    let keys = control.keys().await.unwrap();
    registry.refresh(&keys).await.unwrap();
}

#[tokio::test]
async fn what_another_process_changed_is_taken_over() {
    let control = control();
    let (a, b) = (open(&control).await, open_other(&control).await);
    a.create_token("cairn", Role::Admin, Among::All, None)
        .await
        .unwrap();
    let made = a.create_token("cairn", Role::Auditor, Among::All, None);
    let (token, text) = made.await.unwrap();
    let account = AccountId::new("111111111111").unwrap();
    a.add_account("admin", account.clone(), None, false)
        .await
        .unwrap();
    a.set_organization("admin", Some("renamed".to_owned()), None)
        .await
        .unwrap();
    assert!(b.authenticate(&text).is_none() && !b.knows(&account));
    refresh(&b, &control).await;
    assert!(b.authenticate(&text).is_some() && b.knows(&account));
    assert_eq!(b.organization().name, "renamed");
    b.revoke_token("admin", &token.id).await.unwrap();
    assert!(a.authenticate(&text).is_some());
    refresh(&a, &control).await;
    assert!(a.authenticate(&text).is_none());
}

/// With ids of its own, as another process has.
async fn open_other(control: &ControlStore) -> Registry {
    let ids = Arc::new(Counting(AtomicU64::new(1_000_000)));
    let opened = Registry::open(control.clone(), Arc::new(FixedClock), ids, "other", None);
    opened.await.unwrap()
}

#[tokio::test]
async fn of_two_changes_at_once_one_goes_through_and_the_other_is_told() {
    let control = control();
    let (a, b) = (open(&control).await, open_other(&control).await);
    let name = |name: &str| Some(name.to_owned());
    a.set_organization("a", name("of a"), None).await.unwrap();
    let lost = b.set_organization("b", name("of b"), None).await;
    assert!(matches!(
        lost,
        Err(RegistryError::Control(ControlError::Conflict { .. }))
    ));
    assert_eq!(
        b.organization().name,
        "of a",
        "it was read before it was told"
    );
    b.set_organization("b", name("of b"), None).await.unwrap();

    // An account that both meet at once is there once, and nobody is bothered.
    let account = AccountId::new("111111111111").unwrap();
    let first = a
        .add_account("x", account.clone(), None, true)
        .await
        .unwrap();
    let second = b
        .add_account("y", account.clone(), None, true)
        .await
        .unwrap();
    assert_eq!((second.by, second.version), (first.by, 1));
}

#[tokio::test]
async fn each_of_two_administrators_cannot_take_back_the_other() {
    let control = control();
    let (a, b) = (open(&control).await, open_other(&control).await);
    let make = async |registry: &Registry| {
        let made = registry.create_token("cairn", Role::Admin, Among::All, None);
        made.await.unwrap().0.id
    };
    let (first, second) = (make(&a).await, make(&b).await);
    refresh(&a, &control).await;
    refresh(&b, &control).await;
    a.revoke_token("a", &second).await.unwrap();
    let refused = b.revoke_token("b", &first).await;
    assert!(matches!(refused, Err(RegistryError::LastAdmin)));
}

#[tokio::test]
async fn processes_that_begin_on_an_empty_store_at_once_make_one_token() {
    let control = control();
    let (a, b) = tokio::join!(open(&control), open_other(&control));
    assert_eq!(a.organization(), b.organization());
    let (ours, theirs) = (a.first_token(), b.first_token());
    assert_ne!(ours.text, theirs.text);
    assert!(a.make_first_token("at a".to_owned(), &ours).await.unwrap());
    // Whatever b does meanwhile may show it that token.
    refresh(&b, &control).await;
    assert!(
        !b.make_first_token("at b".to_owned(), &theirs)
            .await
            .unwrap()
    );
    assert!(
        b.authenticate(&ours.text).is_some(),
        "who lost knows the winner's"
    );
    assert!(b.authenticate(&theirs.text).is_none());
    let named: Vec<_> = b.tokens().into_iter().filter_map(|t| t.name).collect();
    assert_eq!(named, ["at a"]);
    // A file that was lost is made again; what was in it opens nothing then.
    let again = a.first_token();
    assert!(a.make_first_token("at a".to_owned(), &again).await.unwrap());
    assert!(a.authenticate(&again.text).is_some() && a.authenticate(&ours.text).is_none());
}

#[tokio::test]
async fn a_damaged_document_hides_none_of_the_others() {
    let control = control();
    let (a, b) = (open(&control).await, open_other(&control).await);
    let damaged = serde_json::json!({"no": "account"});
    let id = "222222222222";
    control
        .put(ControlKind::Account, id, 1, &damaged)
        .await
        .unwrap();
    let made = a.create_token("cairn", Role::Auditor, Among::All, None);
    let (_, text) = made.await.unwrap();
    let keys = control.keys().await.unwrap();
    let told = b.refresh(&keys).await.unwrap_err().to_string();
    assert!(told.contains(id), "{told}");
    assert!(b.authenticate(&text).is_some());
}
