use super::*;
use object_store::memory::InMemory;
use serde_json::{Value, json};

fn store() -> ControlStore {
    ControlStore::new(Arc::new(InMemory::new()), Path::from("root"))
}

#[tokio::test]
async fn versions_come_back_in_order() {
    let control = store();
    for version in [2u64, 10, 1] {
        let doc = json!({"version": version});
        control
            .put(ControlKind::Account, "123456789012", version, &doc)
            .await
            .unwrap();
    }
    let all: BTreeMap<String, Vec<Value>> = control.load(ControlKind::Account).await.unwrap();
    let versions: Vec<u64> = all["123456789012"]
        .iter()
        .map(|d| d["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, [1, 2, 10]);
    let none: BTreeMap<String, Vec<Value>> = control.load(ControlKind::Token).await.unwrap();
    assert!(none.is_empty());
}

#[tokio::test]
async fn a_version_is_written_once_and_a_repeat_of_ones_own_is_fine() {
    let control = store();
    let mine = json!({"by": "me"});
    control
        .put(ControlKind::Token, "t", 1, &mine)
        .await
        .unwrap();
    control
        .put(ControlKind::Token, "t", 1, &mine)
        .await
        .unwrap();
    let theirs = control
        .put(ControlKind::Token, "t", 1, &json!({"by": "them"}))
        .await;
    assert!(matches!(theirs, Err(ControlError::Conflict { .. })));
}

#[tokio::test]
async fn a_damaged_document_is_named() {
    let control = store();
    let key = Path::from("root/control/token/t/00000000000000000001.json");
    control.store.put(&key, "{".into()).await.unwrap();
    let error = control
        .load::<Value>(ControlKind::Token)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("00000000000000000001.json"), "{error}");
}
