use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use cairn_schemas::control::{Principal, Role};
use cairn_schemas::selector::Among;

use super::*;
use crate::server::audit::Caller;

fn asker(id: &str) -> Asker {
    Asker {
        principal: Principal {
            id: id.to_owned(),
            role: Role::Auditor,
            accounts: Among::All,
            withheld: Default::default(),
        },
        caller: Caller::default(),
        door: "async",
    }
}

#[tokio::test]
async fn rows_come_back_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let mut writer = Writer::create(dir.path(), &schema).await.unwrap();
    let mut bytes = 0;
    for start in [0, 10, 20] {
        let numbers = Int64Array::from_iter_values(start..start + 10);
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)]).unwrap();
        bytes += writer.write(&batch).await.unwrap();
    }
    bytes += writer.finish().await.unwrap();
    let path = dir.path().join(ROWS);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
    for (offset, limit, expected) in [
        (0, u64::MAX, 0..30),
        (5, 10, 5..15),
        (20, 100, 20..30),
        (29, 1, 29..30),
        (30, 5, 0..0),
        (0, 0, 0..0),
    ] {
        let (_, mut parts) = read(path.clone(), offset, limit).await.unwrap();
        let mut found = Vec::new();
        while let Some(batch) = parts.recv().await.unwrap().unwrap() {
            let column = batch.column(0).as_any().downcast_ref::<Int64Array>();
            found.extend(column.unwrap().values().to_vec());
        }
        assert_eq!(found, expected.collect::<Vec<_>>(), "{offset}, {limit}");
    }
    // A file that was cut off is an error, and no shorter answer.
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 60]).unwrap();
    let (_, mut parts) = read(path, 0, u64::MAX).await.unwrap();
    let mut last = parts.recv().await.unwrap();
    while let Ok(Some(_)) = &last {
        last = parts.recv().await.unwrap();
    }
    assert!(last.is_err());
}

#[test]
fn what_is_written_of_a_query_is_read_again_and_is_its_own_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("abc");
    std::fs::create_dir(&folder).unwrap();
    let mine = asker("alice");
    let mut about = About::new("abc".to_owned(), &mine, &"SELECT 1".into(), Micros(7));
    about.write(&folder).unwrap();
    let read = About::read(&folder).unwrap();
    assert_eq!(read.state(), State::Running);
    assert!(read.is_of(&mine) && !read.is_of(&asker("bob")));
    assert_eq!(read.principal(), mine.principal);
    about.outcome = Some(Outcome::lost(Micros(8)));
    about.write(&folder).unwrap();
    assert_eq!(About::read(&folder).unwrap().state(), State::Lost);
    // One that was put under another name is nobody's.
    let other = dir.path().join("def");
    std::fs::rename(&folder, &other).unwrap();
    assert!(About::read(&other).is_none());
}
