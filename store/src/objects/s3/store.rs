//! What Cairn adds to each put: parts for large objects, retention, a storage
//! class.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{
    Attribute, CopyOptions, Error, GetOptions, GetResult, HeaderValue, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

use super::retain::RetainUntil;
use crate::objects::probe::is_scratch;
use crate::objects::settings::{ObjectLock, ObjectSettings};

/// S3 takes at most 10,000 parts, of at least 5 MiB, the last one excepted.
const PART: usize = 8 << 20;
const MOST_PARTS: usize = 10_000;

/// Parts of one object that are under way at once.
const AT_ONCE: usize = 4;

/// A bucket.
#[derive(Debug)]
pub(super) struct S3Store {
    inner: AmazonS3,
    multipart_bytes: u64,
    storage_class: Option<String>,
    lock: Option<ObjectLock>,
}

impl S3Store {
    pub(super) fn new(inner: AmazonS3, settings: &ObjectSettings) -> Self {
        Self {
            inner,
            multipart_bytes: settings.multipart_bytes,
            storage_class: settings.storage_class.clone(),
            lock: settings.object_lock.clone(),
        }
    }

    /// What the put of `key` carries besides what its caller gave it.
    fn dress(&self, key: &Path, options: &mut PutOptions) -> Result<()> {
        if is_data(key)
            && let Some(class) = &self.storage_class
        {
            let class = class.clone().into();
            options.attributes.insert(Attribute::StorageClass, class);
        }
        if is_kept(key, &options.mode)
            && let Some(lock) = &self.lock
        {
            let until = HeaderValue::from_str(&lock.until()).map_err(generic)?;
            let mode = lock.mode;
            options.extensions.insert(RetainUntil { mode, until });
        }
        Ok(())
    }

    async fn put_in_parts(
        &self,
        key: &Path,
        payload: &PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let PutOptions {
            tags,
            attributes,
            extensions,
            ..
        } = options;
        let options = PutMultipartOptions {
            tags,
            attributes,
            extensions,
        };
        let mut upload = self.inner.put_multipart_opts(key, options).await?;
        let sent = send_parts(upload.as_mut(), payload).await;
        let done = match sent {
            Ok(()) => upload.complete().await,
            Err(e) => Err(e),
        };
        // Parts of an upload that nobody ends are stored, and paid for. Where
        // the end did land, there is nothing to abort any more.
        if done.is_err()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(%key, %error, "parts of an upload may be left; a lifecycle rule of the bucket can remove them");
        }
        done
    }
}

async fn send_parts(upload: &mut dyn MultipartUpload, payload: &PutPayload) -> Result<()> {
    let total = payload.content_length();
    let size = PART.max(total.div_ceil(MOST_PARTS));
    let parts: Vec<_> = (0..total)
        .step_by(size)
        .map(|from| slice(payload, from..total.min(from + size)))
        // In order, for the order of the calls is that of the parts.
        .map(|part| upload.put_part(part))
        .collect();
    let mut sent = stream::iter(parts).buffer_unordered(AT_ONCE);
    while let Some(part) = sent.next().await {
        part?;
    }
    Ok(())
}

/// A part of `payload`; nothing is copied.
fn slice(payload: &PutPayload, range: Range<usize>) -> PutPayload {
    let mut at = 0;
    let mut parts: Vec<Bytes> = Vec::new();
    for chunk in payload {
        let (from, to) = (range.start.max(at), range.end.min(at + chunk.len()));
        if from < to {
            parts.push(chunk.slice(from - at..to - at));
        }
        at += chunk.len();
    }
    parts.into_iter().collect()
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic {
        store: "S3",
        source: Box::new(source),
    }
}

/// Whether a data file of a table lies at `key`.
fn is_data(key: &Path) -> bool {
    let in_log = key.parts().any(|part| part.as_ref() == "_delta_log");
    !in_log && key.extension() == Some("parquet")
}

/// Whether what lies at `key` is evidence, and never written again: data files,
/// log entries, control documents. Checkpoints are derived, the hint at the
/// last one is overwritten, and what probes write goes at once.
fn is_kept(key: &Path, mode: &PutMode) -> bool {
    let scratch = key.as_ref().rfind("_cairn/");
    if scratch.is_some_and(|at| is_scratch(&key.as_ref()[at..])) {
        return false;
    }
    is_data(key) || (*mode == PutMode::Create && key.extension() == Some("json"))
}

impl fmt::Display for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut opts: PutOptions,
    ) -> Result<PutResult> {
        self.dress(location, &mut opts)?;
        let large = payload.content_length() as u64 > self.multipart_bytes;
        if large && opts.mode == PutMode::Overwrite {
            return self.put_in_parts(location, &payload, opts).await;
        }
        self.inner.put_opts(location, payload, opts).await
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

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
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

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
