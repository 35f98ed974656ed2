//! What one principal may take, and that it is given back.

use std::io::Write as _;

use super::*;

fn limits() -> Limits {
    Limits {
        memory_per_principal: 1000,
        spill_per_query: 600,
        spill_per_principal: 1000,
        ..Limits::default()
    }
}

#[test]
fn the_memory_of_one_principals_queries_is_counted_together() {
    let (a, b) = (Share::new(&limits()), Share::new(&limits()));
    let all: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1500));
    let pool = |share: &Arc<Share>| -> Arc<dyn MemoryPool> {
        Arc::new(SharePool::new(Arc::clone(share), Arc::clone(&all)))
    };
    let reserve = |pool: &Arc<dyn MemoryPool>| MemoryConsumer::new("x").register(pool);
    let (one, two) = (reserve(&pool(&a)), reserve(&pool(&a)));
    one.try_grow(600).unwrap();
    assert!(two.try_grow(500).is_err(), "more than a principal may take");
    two.try_grow(400).unwrap();
    let of_b = reserve(&pool(&b));
    assert!(of_b.try_grow(600).is_err(), "more than there is");
    of_b.try_grow(500).unwrap();
    // What was refused is not kept, in neither account.
    assert_eq!(
        (a.memory.reserved(), b.memory.reserved(), all.reserved()),
        (1000, 500, 1500)
    );
    drop(one);
    assert_eq!((a.memory.reserved(), all.reserved()), (400, 900));
}

fn disk(dir: &Path) -> Arc<DiskManager> {
    let mode = DiskManagerMode::Directories(vec![dir.to_owned()]);
    let builder = DiskManagerBuilder::default().with_mode(mode);
    Arc::new(builder.with_max_temp_directory_size(1300).build().unwrap())
}

#[test]
fn temporary_files_are_counted_for_query_and_principal() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, share) = (disk(dir.path()), Share::new(&limits()));
    let (one, two) = (share.disk(&shared).unwrap(), share.disk(&shared).unwrap());
    let file = one.create_tmp_file("x").unwrap();
    let mut writer = file.open_writer().unwrap();
    writer.write_all(&[0; 500]).unwrap();
    let full = writer.write_all(&[0; 200]).unwrap_err();
    assert!(full.to_string().contains("spilling"), "{full}");
    writer.write_all(&[0; 100]).unwrap();
    assert_eq!(file.size(), Some(600));
    let other = two.create_tmp_file("x").unwrap();
    let mut second = other.open_writer().unwrap();
    second.write_all(&[0; 400]).unwrap();
    assert!(
        second.write_all(&[0; 1]).is_err(),
        "more than a principal may take"
    );
    // Another principal's are not counted with them, but for all that there is.
    let stranger = Share::new(&limits()).disk(&shared).unwrap();
    let file_of_other = stranger.create_tmp_file("x").unwrap();
    let mut third = file_of_other.open_writer().unwrap();
    third.write_all(&[0; 300]).unwrap();
    assert!(third.write_all(&[0; 1]).is_err(), "more than there is");
    // A file that is gone gives back what it took.
    drop((writer, file));
    second.write_all(&[0; 200]).unwrap();
    assert_eq!(share.spill.used.load(Ordering::Relaxed), 600);
}

#[test]
fn without_a_folder_nothing_is_spilled() {
    let none = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let shared = Arc::new(none.build().unwrap());
    let own = Share::new(&limits()).disk(&shared).unwrap();
    assert!(!own.tmp_files_enabled());
}
