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

#[tokio::test]
async fn one_list_names_every_document_and_each_can_be_read_alone() {
    let control = store();
    let put = async |kind, id: &str, version: u64| {
        let doc = json!({"id": id, "version": version});
        control.put(kind, id, version, &doc).await.unwrap();
    };
    put(ControlKind::Trail, "t", 2).await;
    put(ControlKind::Trail, "t", 10).await;
    put(ControlKind::Token, "t", 1).await;
    // What others left there is no document.
    for foreign in ["root/control/token/t/x.json", "root/control/else/t/1.json"] {
        control
            .store
            .put(&Path::from(foreign), "{".into())
            .await
            .unwrap();
    }
    let keys = control.keys().await.unwrap();
    let told: Vec<_> = keys.iter().map(|k| (k.kind, k.version)).collect();
    let wanted = [
        (ControlKind::Token, 1),
        (ControlKind::Trail, 2),
        (ControlKind::Trail, 10),
    ];
    assert_eq!(told, wanted);
    let doc: Value = control.get(&keys[2]).await.unwrap();
    assert_eq!(doc, json!({"id": "t", "version": 10}));
    let gone = DocumentKey {
        version: 11,
        ..keys[2].clone()
    };
    let gone = control.get::<Value>(&gone).await;
    assert!(matches!(gone, Err(ControlError::Unavailable { .. })));
}
