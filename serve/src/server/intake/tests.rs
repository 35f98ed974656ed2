use super::*;

/// A history without anything, that nobody begins.
async fn history() -> History {
    use cairn_schemas::keys;
    use cairn_store::table::{TableOptions, TableSpec};
    use object_store::memory::InMemory;

    use crate::server::ambient::{SystemClock, SystemIds};

    let store = Arc::new(InMemory::new());
    let root = cairn_store::objects::Opened::new(store, object_store::path::Path::from("cairn"));
    let open = async |key: &str, spec: TableSpec| {
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
        let options = TableOptions::default();
        let place = root.at(key);
        let table = Table::open_or_create(&place, spec, options, clock, ids);
        Arc::new(table.await.unwrap())
    };
    let table = open(keys::HISTORY, TableSpec::events("history").outlined(true)).await;
    let quarantine = open(keys::QUARANTINE, TableSpec::quarantine()).await;
    History::new(table, quarantine, 1 << 20)
}

#[tokio::test]
async fn a_start_waits_for_ids_but_not_for_ever() {
    let history = history().await;
    let catching_up = CatchingUp::default();
    catching_up.tell(3_000_000);
    let mut pipeline = tokio::spawn(std::future::pending());
    begun(&history, &mut pipeline, &catching_up).await.unwrap();
    assert!(!pipeline.is_finished());
    pipeline.abort();
    // An error is told at once, also then.
    let ended = PipelineError::CatchUp(CatchUpError::Row("a test".to_owned()));
    let mut pipeline = tokio::spawn(async { Err(ended) });
    let told = begun(&history, &mut pipeline, &catching_up).await;
    let told = format!("{:#}", told.unwrap_err());
    assert!(told.contains("a test"), "{told}");
}
