//! The listening socket: connections in, so many at a time, TLS where it is
//! spoken, and an end in good order.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use arrow_flight::flight_service_server::FlightServiceServer;
use cairn_schemas::IdSource;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::service::Service;
use crate::config::Flight;
use crate::server::app::Shared;
use crate::server::tls::{self, TlsFiles};

/// The largest message that is taken: a statement and its parameters.
const MESSAGE: usize = 4 << 20;
/// How many connections may be open.
const CONNECTIONS: usize = 256;
/// How many calls of one connection may be under way.
const CALLS: usize = 32;
/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A connection that says nothing is asked after so long whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long calls under way may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(3);

/// The door for Flight's clients.
#[derive(Debug)]
pub struct Door {
    service: Service,
    tls: Option<Arc<TlsFiles>>,
}

impl Door {
    /// A door as `settings` say; reads the certificate.
    pub fn new(app: Shared, ids: Arc<dyn IdSource>, settings: &Flight) -> anyhow::Result<Self> {
        let pair = settings.tls_cert.as_ref().zip(settings.tls_key.as_ref());
        let tls = pair
            .map(|(cert, key)| {
                let names = ["flight.tls_cert", "flight.tls_key"];
                TlsFiles::open(names, cert, key, b"h2").map(Arc::new)
            })
            .transpose()?;
        Ok(Self {
            service: Service::new(app, ids)?,
            tls,
        })
    }

    /// Serves `listener` until `stop`, then lets calls under way end for a while.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let service = FlightServiceServer::new(self.service).max_decoding_message_size(MESSAGE);
        let mut server = Server::builder()
            .concurrency_limit_per_connection(CALLS)
            .max_concurrent_streams(Some(CALLS as u32))
            .http2_keepalive_interval(Some(KEEPALIVE));
        if let Some(files) = &self.tls {
            tokio::spawn(tls::follow(Arc::clone(files), stop.clone()));
        }
        let soon = stop.clone();
        let served = server
            .add_service(service)
            .serve_with_incoming_shutdown(incoming(listener, self.tls), async move {
                soon.cancelled().await
            });
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = served => served.context("Flight's door broke"),
            () = late => {
                tracing::warn!("some flight calls were still under way and were cut off");
                Ok(())
            }
        }
    }
}

/// The connections that are ready to be spoken on. Each agrees on TLS by itself:
/// one that takes its time keeps nobody waiting.
fn incoming(
    listener: TcpListener,
    tls: Option<Arc<TlsFiles>>,
) -> impl Stream<Item = std::io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(1);
    tokio::spawn(accept(listener, tls, ready));
    futures::stream::unfold(connections, |mut connections| async move {
        let next = connections.recv().await?;
        Some((Ok(next), connections))
    })
}

/// Accepts connections, as places get free, until nobody wants more.
async fn accept(
    listener: TcpListener,
    tls: Option<Arc<TlsFiles>>,
    ready: mpsc::Sender<Connection>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = tokio::select! {
            () = ready.closed() => return,
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = ready.closed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(enter(stream, peer, place, tls.clone(), ready.clone()));
            }
            Err(error) => {
                // Out of file descriptors, mostly: others have to end first.
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn enter(
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    tls: Option<Arc<TlsFiles>>,
    ready: mpsc::Sender<Connection>,
) {
    // Small answers must not wait for the sender's next packet.
    let _ = stream.set_nodelay(true);
    let info = stream.connect_info();
    let stream = match tls {
        None => Wire::Plain(stream),
        Some(files) => {
            let acceptor = TlsAcceptor::from(Arc::clone(&files.tls().config));
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => Wire::Secured(Box::new(stream)),
                Ok(Err(error)) => {
                    tracing::debug!(%peer, error = %error, "a connection is not under TLS");
                    return;
                }
                Err(_) => return,
            }
        }
    };
    let connection = Connection {
        stream,
        info,
        _place: place,
    };
    // Where the server stops, nobody takes it.
    let _ = ready.send(connection).await;
}

/// What is spoken on.
#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
}

/// A connection and its place.
#[derive(Debug)]
struct Connection {
    stream: Wire,
    info: TcpConnectInfo,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.info.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Wire::Secured(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Secured(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Secured(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Secured(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
