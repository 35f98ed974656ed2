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
