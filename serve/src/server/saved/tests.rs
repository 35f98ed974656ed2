use cairn_schemas::AccountId;
use cairn_schemas::saved::ParameterKind;
use cairn_schemas::selector::Among;
use object_store::memory::InMemory;
use object_store::path::Path;

use super::*;

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> cairn_schemas::Micros {
        cairn_schemas::Micros(1_795_132_800_000_000)
    }
}

fn who(id: &str, role: Role) -> Principal {
    Principal {
        id: id.to_owned(),
        role,
        accounts: Among::<AccountId>::All,
        withheld: Default::default(),
    }
}

fn wanted(name: &str, sql: &str) -> Wanted {
    Wanted {
        name: QueryName::new(name).unwrap(),
        title: "A question.".to_owned(),
        sql: sql.to_owned(),
        parameters: vec![],
    }
}

#[tokio::test]
async fn versions_are_kept_and_two_processes_agree() {
    let control = ControlStore::new(Arc::new(InMemory::new()), Path::default());
    let open = async || {
        SavedSet::open(control.clone(), Arc::new(Noon))
            .await
            .unwrap()
    };
    let (a, b) = (open().await, open().await);
    let (ann, bob) = (who("ann", Role::Auditor), who("bob", Role::Auditor));
    let first = a.save(&ann, wanted("mine", "SELECT 1")).await.unwrap();
    assert_eq!((first.version, first.owner.as_str()), (1, "ann"));
    // b does not know of it yet: the store does.
    let lost = b.save(&bob, wanted("mine", "SELECT 2")).await.unwrap_err();
    assert_eq!(lost.code(), "conflict");
    assert_eq!(b.find(&first.name).unwrap(), first);
    let refused = b.save(&bob, wanted("mine", "SELECT 2")).await.unwrap_err();
    assert_eq!(refused.code(), "forbidden");
    assert!(b.delete(&bob, &first.name).await.is_err());
    let admin = who("root", Role::Admin);
    let second = b.save(&admin, wanted("mine", "SELECT 3")).await.unwrap();
    assert_eq!((second.version, second.owner.as_str()), (2, "ann"));
    a.refresh(&control.keys().await.unwrap()).await.unwrap();
    assert_eq!(a.find(&first.name).unwrap(), second);
    a.delete(&ann, &first.name).await.unwrap();
    assert!(a.find(&first.name).is_err() && a.list().is_empty());
    assert_eq!(a.versions(&first.name).await.unwrap().len(), 3);
    // The name is free again, and its history goes on.
    let again = a.save(&bob, wanted("mine", "SELECT 4")).await.unwrap();
    assert_eq!((again.version, again.owner.as_str()), (4, "bob"));
    assert_eq!(open().await.list(), [again]);
}

#[test]
fn statement_and_parameters_have_to_fit() {
    let with = |sql: &str, names: &[&str]| {
        let mut wanted = wanted("some", sql);
        wanted.parameters = names
            .iter()
            .map(|name| Parameter {
                name: (*name).to_owned(),
                kind: ParameterKind::Text,
                default: None,
                says: String::new(),
            })
            .collect();
        wanted.check().map_err(|e| e.message().to_owned())
    };
    assert!(with("SELECT :a", &["a"]).is_ok());
    assert!(with("SELECT :a", &[]).unwrap_err().contains("not declared"));
    assert!(with("SELECT 1", &["a"]).unwrap_err().contains("no :a"));
    assert!(
        with("SELECT :a", &["a", "a"])
            .unwrap_err()
            .contains("twice")
    );
    assert!(with("SELECT :a", &["A b"]).unwrap_err().contains("no name"));
    assert!(with("SELECT $1", &[]).unwrap_err().contains("names"));
}

#[tokio::test]
async fn names_of_the_library_are_taken() {
    let control = ControlStore::new(Arc::new(InMemory::new()), Path::default());
    let set = SavedSet::open(control, Arc::new(Noon)).await.unwrap();
    let name = library::all()[0].name.to_string();
    let refused = set
        .save(&who("a", Role::Admin), wanted(&name, "SELECT 1"))
        .await;
    assert_eq!(refused.unwrap_err().code(), "name_taken");
}
