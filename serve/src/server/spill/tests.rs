use super::*;
use crate::config::{Data, Query};

fn settings(data: &Path, spill: Option<&Path>) -> Settings {
    Settings {
        data: Data {
            dir: data.to_owned(),
        },
        query: Query {
            spill_dir: spill.map(Path::to_owned),
            ..Query::default()
        },
        ..Settings::default()
    }
}

#[test]
fn what_an_earlier_run_left_is_gone_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("scratch");
    let one = settings(&dir.path().join("one"), Some(&shared));
    let other = settings(&dir.path().join("other"), Some(&shared));
    let of_one = fresh_folder(&one).unwrap().unwrap();
    let of_other = fresh_folder(&other).unwrap().unwrap();
    for folder in [&of_one, &of_other] {
        assert!(folder.starts_with(&shared));
        fs::create_dir(folder.join("datafusion-x")).unwrap();
        fs::write(folder.join("datafusion-x/rows"), "rows").unwrap();
    }
    fs::write(shared.join("mine"), "kept").unwrap();
    assert_eq!(fresh_folder(&one).unwrap(), Some(of_one.clone()));
    assert_eq!(fs::read_dir(&of_one).unwrap().count(), 0);
    assert!(of_other.join("datafusion-x/rows").exists());
    assert!(shared.join("mine").exists());
}

#[test]
fn a_link_in_its_place_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let precious = dir.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), "kept").unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(&precious, data.join("spill")).unwrap();
    let folder = fresh_folder(&settings(&data, None)).unwrap().unwrap();
    assert!(!folder.is_symlink());
    assert!(precious.join("file").exists());
}
