//! The connection's bytes: whole messages in, within bounds; messages out,
//! in large writes.
//!
//! A length is believed only up to what the sender may have at that point, and
//! nothing is set aside for what has not come. Whoever does not read what it
//! asked for is cut off, since a query holds its place until its rows are taken.

use std::fmt;
use std::future;
use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// The longest first packet, as in PostgreSQL.
const STARTUP: usize = 10_000;
/// How much is read ahead while a query runs.
const AHEAD: usize = 64 << 10;
/// How much is collected before it is written.
const WRITE: usize = 32 << 10;
/// How long a reader may take nothing.
const STALLED: Duration = Duration::from_secs(30);

/// A connection, in the clear or under TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the client went away")]
    Gone,
    #[error("the client did not read")]
    Stalled,
    /// Told to the client before it is closed.
    #[error("{0}")]
    Bad(String),
}

/// Messages over a socket.
pub(super) struct Wire {
    socket: Box<dyn Socket>,
    inbox: BytesMut,
    out: BytesMut,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("inbox", &self.inbox.len())
            .field("out", &self.out.len())
            .finish_non_exhaustive()
    }
}

impl Wire {
    /// Messages over `socket`, of which `inbox` was read already.
    pub(super) fn begun(socket: Box<dyn Socket>, inbox: BytesMut) -> Self {
        Self {
            socket,
            inbox,
            out: BytesMut::new(),
        }
    }

    /// Reads more. `false` at the end.
    async fn more(&mut self) -> Result<bool, Lost> {
        Ok(self.socket.read_buf(&mut self.inbox).await? > 0)
    }

    /// A packet without a type: a length, then so many bytes less four. `None`
    /// where the client went without a word.
    pub(super) async fn startup(&mut self) -> Result<Option<Bytes>, Lost> {
        loop {
            if let Some(mut head) = self.inbox.get(..4) {
                let length = head.get_i32();
                let length = usize::try_from(length)
                    .ok()
                    .filter(|n| (8..=STARTUP).contains(n))
                    .ok_or_else(|| Lost::Bad("invalid length of startup packet".to_owned()))?;
                if self.inbox.len() >= length {
                    let mut packet = self.inbox.split_to(length).freeze();
                    packet.advance(4);
                    return Ok(Some(packet));
                }
            }
            if !self.more().await? {
                return match self.inbox.is_empty() {
                    true => Ok(None),
                    false => Err(Lost::Gone),
                };
            }
        }
    }

    /// The next message of at most `most` bytes: its type and its body. `None`
    /// where the client went without a word.
    ///
    /// May be dropped while it waits: what has come is kept.
    pub(super) async fn message(&mut self, most: usize) -> Result<Option<(u8, Bytes)>, Lost> {
        loop {
            if let Some(mut head) = self.inbox.get(..5) {
                let kind = head.get_u8();
                let length = head.get_i32();
                let length = usize::try_from(length)
                    .ok()
                    .filter(|n| *n >= 4)
                    .ok_or_else(|| Lost::Bad("invalid message length".to_owned()))?;
                if length > most {
                    return Err(Lost::Bad(format!(
                        "a message of {length} bytes is longer than the {most} that are taken here"
                    )));
                }
                if self.inbox.len() > length {
                    let mut message = self.inbox.split_to(length + 1).freeze();
                    message.advance(5);
                    return Ok(Some((kind, message)));
                }
            }
            if !self.more().await? {
                return match self.inbox.is_empty() {
                    true => Ok(None),
                    false => Err(Lost::Gone),
                };
            }
        }
    }

    /// Returns only when the client is gone. Reads ahead a little, since a
    /// client that left is noticed by reading alone.
    pub(super) async fn gone(&mut self) -> Lost {
        loop {
            if self.inbox.len() >= AHEAD {
                return future::pending().await;
            }
            match self.more().await {
                Ok(true) => {}
                Ok(false) => return Lost::Gone,
                Err(lost) => return lost,
            }
        }
    }

    /// Puts a message behind those that wait to be written.
    pub(super) fn put(&mut self, message: PgWireBackendMessage) -> Result<(), Lost> {
        let encoded = message.encode(&mut self.out);
        encoded.map_err(|e| Lost::Bad(e.to_string()))
    }

    /// Where rows are written to.
    pub(super) fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Whether so much waits that it should be written.
    pub(super) fn is_full(&self) -> bool {
        self.out.len() >= WRITE
    }

    /// Writes what waits.
    pub(super) async fn flush(&mut self) -> Result<(), Lost> {
        while !self.out.is_empty() {
            match timeout(STALLED, self.socket.write_buf(&mut self.out)).await {
                Err(_) => return Err(Lost::Stalled),
                Ok(written) => {
                    if written? == 0 {
                        return Err(Lost::Gone);
                    }
                }
            }
        }
        let flushed = timeout(STALLED, self.socket.flush()).await;
        Ok(flushed.map_err(|_| Lost::Stalled)??)
    }

    /// Writes what waits and says that nothing follows.
    pub(super) async fn close(&mut self) {
        // Whoever is gone already has nothing to be told.
        if self.flush().await.is_ok() {
            let _ = timeout(Duration::from_secs(1), self.socket.shutdown()).await;
        }
    }
}
