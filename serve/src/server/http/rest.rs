//! The rest of a body that nobody read.
//!
//! A call may be refused before its body has come. HTTP/1.1 then has to close
//! the connection, and a close with bytes on their way may take the answer with
//! it: the client sees a broken connection instead of a refusal. So a body of
//! modest size is read to its end and thrown away; after any other the answer
//! says that the connection ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

/// So much is read, in bytes.
const MOST: usize = 256 << 10;
/// For so long. Those who come without a token may not keep more waiting.
const WAIT: Duration = match cfg!(test) {
    false => Duration::from_secs(1),
    // A test's thread may stand still for longer than that.
    true => Duration::from_secs(5),
};

type Left = Arc<Mutex<Option<Body>>>;

/// A body that is given back where it was not read to its end.
struct Lent {
    /// Taken on drop.
    body: Option<Body>,
    over: bool,
    left: Left,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        self.over |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(HttpBody::size_hint);
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.over && !self.is_end_stream() {
            *self.left.lock() = self.body.take();
        }
    }
}

/// Reads what the call left of its body, or tells that the connection ends.
pub async fn taken(request: Request, next: Next) -> Response {
    // Who asks first has not sent anything, and hears from the answer not to.
    let asks_first = request.headers().contains_key(header::EXPECT);
    let left = Left::default();
    let lent = |body| Lent {
        body: Some(body),
        over: false,
        left: Arc::clone(&left),
    };
    let mut response = next.run(request.map(|body| Body::new(lent(body)))).await;
    let rest = left.lock().take();
    if let Some(rest) = rest
        && (asks_first || !read(rest).await)
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Whether the end has come.
async fn read(body: Body) -> bool {
    let mut parts = body.into_data_stream();
    let whole = async {
        let mut size = 0;
        while let Some(part) = parts.next().await {
            match part {
                Ok(part) if size + part.len() <= MOST => size += part.len(),
                _ => return false,
            }
        }
        true
    };
    tokio::time::timeout(WAIT, whole).await.unwrap_or(false)
}

#[cfg(test)]
mod tests;
