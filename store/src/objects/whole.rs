//! A store whose bodies are whole or an error.
//!
//! A connection that breaks at the wrong moment, or a proxy between, can end a
//! body early and call it complete. Parquet's reader and others above take a
//! body's length for granted; here it is counted.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// See the module's documentation. Everything but the bodies passes through.
#[derive(Clone, Debug)]
pub(crate) struct Whole(Arc<dyn ObjectStore>);

impl Whole {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self(inner)
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `body`, and an error at its end unless it was as long as `range`.
fn counted(
    body: BoxStream<'static, Result<Bytes>>,
    path: Path,
    range: &Range<u64>,
) -> BoxStream<'static, Result<Bytes>> {
    let wanted = range.end.saturating_sub(range.start);
    let begin = (body, 0u64, false);
    futures::stream::unfold(begin, move |(mut body, seen, ended)| {
        let path = path.clone();
        async move {
            if ended {
                return None;
            }
            match body.next().await {
                Some(Ok(bytes)) => {
                    let seen = seen + bytes.len() as u64;
                    Some((Ok(bytes), (body, seen, false)))
                }
                Some(Err(error)) => Some((Err(error), (body, seen, true))),
                None if seen == wanted => None,
                None => {
                    let source = format!("{path}: {seen} bytes came of {wanted}");
                    let error = Error::Generic {
                        store: "Whole",
                        source: source.into(),
                    };
                    Some((Err(error), (body, seen, true)))
                }
            }
        }
    })
    // Some readers ask once more after the end.
    .fuse()
    .boxed()
}

#[async_trait]
impl ObjectStore for Whole {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.0.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let mut result = self.0.get_opts(location, options).await?;
        if let GetResultPayload::Stream(body) = result.payload {
            let body = match head {
                true => body,
                false => counted(body, location.clone(), &result.range),
            };
            result.payload = GetResultPayload::Stream(body);
        }
        Ok(result)
    }

    // `get_ranges` is the trait's own: it goes through `get_opts` here, and
    // would panic on a short body below.

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}
