//! The listening socket: connections in, so many at a time, TLS where it is
//! spoken, and an end in good order.

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::rustls::crypto::ring;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::service::Service;
use crate::config::Flight;
use crate::server::app::Shared;
use crate::server::tls;

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
    tls: Option<ServerTlsConfig>,
}

impl Door {
    /// A door as `settings` say; reads the certificate.
    pub fn new(app: Shared, ids: Arc<dyn IdSource>, settings: &Flight) -> anyhow::Result<Self> {
        let pair = settings.tls_cert.as_ref().zip(settings.tls_key.as_ref());
        let tls = pair
            .map(|(cert, key)| {
                // Two providers of cryptography are built in, and the one that
                // serves here asks for the process's own: without one it panics.
                // An error says that there is one already, which is as good.
                let _ = ring::default_provider().install_default();
                // Read for its errors, which say what to do.
                tls::load(["flight.tls_cert", "flight.tls_key"], cert, key, &[b"h2"])?;
                let identity = Identity::from_pem(std::fs::read(cert)?, std::fs::read(key)?);
                let config = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE);
                anyhow::Ok(config)
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
        if let Some(tls) = self.tls {
            server = server
                .tls_config(tls)
                .context("the certificate of Flight's door cannot be used")?;
        }
        let soon = stop.clone();
        let served = server.add_service(service).serve_with_incoming_shutdown(
            incoming(listener),
            async move { soon.cancelled().await },
        );
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

/// The connections, as places get free.
fn incoming(listener: TcpListener) -> impl Stream<Item = std::io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    futures::stream::unfold((listener, places), |(listener, places)| async move {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Small answers must not wait for the sender's next packet.
                    let _ = stream.set_nodelay(true);
                    let connection = Connection {
                        stream,
                        _place: place,
                    };
                    return Some((Ok(connection), (listener, places)));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: others have to end first.
                    tracing::warn!(error = %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    })
}

/// A connection and its place.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
