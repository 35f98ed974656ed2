//! Local disk, the probe and the way to a store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use cairn_schemas::IdSource;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

use super::*;

#[derive(Debug)]
struct Ids;

impl IdSource for Ids {
    fn fill(&self, out: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let n = NEXT.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = n[7 - i % 8];
        }
    }
}

/// A store that takes the condition and does not keep it.
#[derive(Debug)]
struct Faithless {
    inner: InMemory,
    /// Checks first and writes later, instead of not checking at all.
    checks: bool,
    /// How many have checked and found nothing.
    checked: AtomicU64,
}

impl fmt::Display for Faithless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faithless")
    }
}

#[async_trait]
impl ObjectStore for Faithless {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        if self.checks && opts.mode == PutMode::Create && self.inner.head(location).await.is_ok() {
            return Err(Error::AlreadyExists {
                path: location.to_string(),
                source: "there".into(),
            });
        }
        // A second one checks before the first one writes: the gap that such a
        // store leaves open, held open until it is used.
        self.checked.fetch_add(1, Ordering::SeqCst);
        while self.checks && self.checked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        self.inner.put(location, payload).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

async fn local(folder: &tempfile::TempDir) -> Opened {
    let url = format!("file://{}/a/b", folder.path().display());
    open(&url, &ObjectSettings::default()).await.unwrap()
}

async fn all(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    let metas: Vec<ObjectMeta> = store.list(None).try_collect().await.unwrap();
    let mut names: Vec<String> = metas.iter().map(|m| m.location.to_string()).collect();
    names.sort();
    names
}

async fn text(store: &Arc<dyn ObjectStore>, key: &str) -> String {
    let answer = store.get(&Path::from(key)).await.unwrap();
    String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_passes_real_stores_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Opened::new(Arc::new(InMemory::new()), Path::from("x"));
    for opened in [local(&folder).await, memory] {
        CasProbe::thorough().run(&opened, &Ids).await.unwrap();
        assert!(all(&opened.store).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_refuses_a_store_that_fakes_the_condition() {
    for checks in [false, true] {
        let store = Faithless {
            inner: InMemory::new(),
            checks,
            checked: AtomicU64::new(0),
        };
        let opened = Opened::new(Arc::new(store), Path::from("x"));
        let error = CasProbe::thorough().run(&opened, &Ids).await.unwrap_err();
        assert!(error.to_string().contains("Faithless"), "{error}");
        assert!(matches!(error, ProbeError::NotAtomic { winners, .. } if winners > 1));
        assert!(all(&opened.store).await.is_empty());
    }
}

#[tokio::test]
async fn local_puts_create_overwrite_and_show_no_hidden_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder).await.store;
    let key = Path::from("deep/er/key.json");
    let create = || store.put_opts(&key, PutPayload::from("one"), PutMode::Create.into());
    let first = create().await.unwrap();
    assert_eq!(first.e_tag, store.head(&key).await.unwrap().e_tag);
    assert!(matches!(create().await, Err(Error::AlreadyExists { .. })));
    store.put(&key, PutPayload::from("two")).await.unwrap();
    assert_eq!(text(&store, "deep/er/key.json").await, "two");
    assert_eq!(all(&store).await, ["deep/er/key.json"]);
    let raw = std::fs::read_dir(folder.path().join("a/b/deep/er")).unwrap();
    assert_eq!(raw.count(), 1, "hidden files are gone");
    // A folder that was removed under our feet is made again.
    std::fs::remove_dir_all(folder.path().join("a/b/deep/er")).unwrap();
    create().await.unwrap();
}

#[tokio::test]
async fn local_multipart_copy_and_rename() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder).await.store;
    let mut upload = store.put_multipart(&Path::from("m")).await.unwrap();
    let (a, b) = (
        upload.put_part(PutPayload::from("hello ")),
        upload.put_part(PutPayload::from("world")),
    );
    // In whatever order the parts arrive.
    b.await.unwrap();
    a.await.unwrap();
    assert!(all(&store).await.is_empty(), "not before it is complete");
    upload.complete().await.unwrap();
    assert_eq!(text(&store, "m").await, "hello world");
    let mut dropped = store.put_multipart(&Path::from("d")).await.unwrap();
    dropped.put_part(PutPayload::from("x")).await.unwrap();
    dropped.abort().await.unwrap();

    let (m, c, r) = (Path::from("m"), Path::from("c"), Path::from("r"));
    store.copy(&m, &c).await.unwrap();
    let exists = store.copy_if_not_exists(&m, &c).await;
    assert!(matches!(exists, Err(Error::AlreadyExists { .. })));
    let missing = store.copy(&Path::from("none"), &c).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })));
    store.rename(&m, &r).await.unwrap();
    assert_eq!(all(&store).await, ["c", "r"]);
    assert_eq!(text(&store, "r").await, "hello world");
}

#[tokio::test]
async fn a_planted_link_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder).await.store;
    let link = folder.path().join("a/b/out");
    std::os::unix::fs::symlink("/tmp", &link).unwrap();
    // Planted after the start: nothing is written through it.
    let through = store.put(&Path::from("out/x"), PutPayload::from("x")).await;
    assert!(through.unwrap_err().to_string().contains("not a folder"));
    let url = format!("file://{}/a/b", folder.path().display());
    let error = open(&url, &ObjectSettings::default()).await.unwrap_err();
    assert!(error.to_string().contains("symbolic link"), "{error}");
    std::fs::remove_file(&link).unwrap();
    open(&url, &ObjectSettings::default()).await.unwrap();
}

#[tokio::test]
async fn an_error_of_the_disk_is_an_error_and_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder).await.store;
    store
        .put(&Path::from("file"), PutPayload::from("x"))
        .await
        .unwrap();
    let below_a_file = store
        .put(&Path::from("file/x"), PutPayload::from("x"))
        .await;
    assert!(matches!(below_a_file, Err(Error::Generic { .. })));
    assert_eq!(all(&store).await, ["file"]);
}

#[tokio::test]
async fn opening_a_folder_removes_nothing_from_it() {
    let folder = tempfile::tempdir().unwrap();
    drop(local(&folder).await);
    let names = ["x.parquet#7", "y.parquet.cairn-staged#7"];
    let paths = names.map(|name| folder.path().join("a/b").join(name));
    for path in &paths {
        let file = std::fs::File::create(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let store = local(&folder).await.store;
    assert!(paths.iter().all(|path| path.exists()));
    assert!(all(&store).await.is_empty(), "neither is listed");
}

/// The inode of a file: another one shows that its name was given anew.
fn inode(folder: &tempfile::TempDir, name: &str) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder.path().join("a/b").join(name))
        .unwrap()
        .ino()
}

#[tokio::test]
async fn a_name_whose_folder_could_not_be_synced_is_given_anew_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let opened = local(&folder).await;
    let store = opened.local.clone().unwrap();
    let key = Path::from("entry");
    let create = || store.put_opts(&key, PutPayload::from("ours"), PutMode::Create.into());
    store.put(&Path::from("other"), "x".into()).await.unwrap();

    // The entry is there, and its put failed.
    store.disk.failing.store(1, Ordering::SeqCst);
    assert!(matches!(create().await.unwrap_err(), Error::Generic { .. }));
    let first = inode(&folder, "entry");
    // Who tries again hears that it is there, and reads it: not before it is durable.
    store.disk.failing.store(2, Ordering::SeqCst);
    assert!(matches!(
        create().await.unwrap_err(),
        Error::AlreadyExists { .. }
    ));
    for _ in 0..2 {
        assert!(matches!(
            store.get(&key).await.unwrap_err(),
            Error::Generic { .. }
        ));
    }
    let read = store.get(&key).await.unwrap().bytes().await.unwrap();
    assert_eq!(read, "ours");
    let durable = inode(&folder, "entry");
    assert_ne!(durable, first);
    // Once is enough, and nothing hidden is left.
    store.get(&key).await.unwrap();
    assert_eq!(inode(&folder, "entry"), durable);
    let names = std::fs::read_dir(folder.path().join("a/b")).unwrap();
    assert_eq!(names.count(), 2);
}

#[tokio::test]
async fn what_a_doubtful_name_became_since_is_not_undone() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder).await.local.unwrap();
    let key = Path::from("hint");
    store.put(&Path::from("other"), "x".into()).await.unwrap();
    for deleted in [false, true] {
        store.disk.failing.store(1, Ordering::SeqCst);
        store.put(&key, "old".into()).await.unwrap_err();
        if deleted {
            store.delete(&key).await.unwrap();
            assert!(matches!(
                store.get(&key).await.unwrap_err(),
                Error::NotFound { .. }
            ));
        } else {
            store.put(&key, "new".into()).await.unwrap();
            let read = store.get(&key).await.unwrap().bytes().await.unwrap();
            assert_eq!(read, "new");
        }
    }
}

#[tokio::test]
async fn a_folder_whose_name_could_not_be_synced_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(&folder).await.local.unwrap();
    let key = Path::from("new/file");
    store.disk.failing.store(1, Ordering::SeqCst);
    store.put(&key, "x".into()).await.unwrap_err();
    assert!(!folder.path().join("a/b/new").exists());
    store.put(&key, "x".into()).await.unwrap();
}

#[tokio::test]
async fn a_destination_holds_no_credentials_and_the_error_does_not_repeat_them() {
    let credentials = [
        "s3://KEY:SECRET@bucket/prefix",
        "s3://KEY@bucket/prefix",
        "s3://:SECRET@bucket",
        "s3://KEY:123/SECRET@bucket",
        "https://KEY:SECRET@host/bucket",
    ];
    // Not even URLs, or not the ones that were meant.
    let broken = [
        "s3://KEY:SEC/SECRET@bucket",
        "s3://KEY:SEC#SECRET@bucket",
        "file://KEY:SECRET@host/x",
        "KEY:SECRET@bucket/prefix",
        "s3://KEY:SECRET",
    ];
    let more = [
        "s3://bucket/prefix?sig=SECRET",
        "s3://bucket/prefix#SECRET",
        "file:///folder?SECRET",
        "file:///folder#SECRET",
    ];
    let settings = ObjectSettings::default();
    for url in credentials.iter().chain(&broken).chain(&more) {
        let error = open(url, &settings).await.unwrap_err();
        let shown = format!("{error} {error:?}").to_uppercase();
        assert!(!shown.contains("SECRET"), "{error}");
        assert!(!shown.contains("KEY"), "{error}");
        if credentials.contains(url) {
            assert!(error.to_string().contains("no credentials"), "{error}");
        }
        if more.contains(url) {
            assert!(error.to_string().contains("no query"), "{error}");
        }
    }
    let settings = ObjectSettings {
        endpoint: Some("https://KEY:SECRET@host".to_owned()),
        credentials: Credentials::Anonymous,
        ..ObjectSettings::default()
    };
    let error = open("s3://bucket", &settings).await.unwrap_err();
    assert!(error.to_string().contains("no credentials"), "{error}");
    assert!(!error.to_string().contains("SECRET"), "{error}");
    // What only looks like it is a place.
    for url in ["s3://bucket/me@work", "file:///a/b@c:d", "file:///a/%23%3F"] {
        check_url(url).unwrap();
    }
}

#[tokio::test]
async fn settings_decide_and_the_environment_does_not() {
    let keys = Credentials::Static {
        from: "the test",
        access_key_id: "id".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
    };
    let settings = ObjectSettings {
        endpoint: Some("http://127.0.0.1:9000/".to_owned()),
        credentials: keys,
        ..ObjectSettings::default()
    };
    let a = open("s3://bucket/some/prefix", &settings).await.unwrap();
    assert_eq!(a.prefix.as_ref(), "some/prefix");
    let b = open("s3://bucket", &settings).await.unwrap();
    assert_ne!(a.store_url, b.store_url);
    assert_eq!(
        a.at("tables/history").prefix.as_ref(),
        "some/prefix/tables/history"
    );
    assert!(!format!("{settings:?}").contains("secret"));

    let without = ObjectSettings::default();
    let error = open("s3://bucket", &without).await.unwrap_err();
    assert!(error.to_string().contains("access_key_id"), "{error}");
    for wrong in ["ftp://x/y", "bucket/prefix", "s3:///prefix"] {
        assert!(open(wrong, &settings).await.is_err(), "{wrong}");
    }
}
