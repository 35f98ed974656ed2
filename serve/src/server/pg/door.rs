//! The listening socket: connections in, TLS where it is spoken, and how many
//! may come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cairn_schemas::IdSource;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::cancel::Cancels;
use super::session::Session;
use super::startup::{self, Entered};
use crate::config::Pg;
use crate::server::app::Shared;
use crate::server::tls::{self, TlsError, TlsFiles};

/// How long statements under way may take after the signal to stop.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so long the connections are gone, whatever their clients do.
const GRACE: Duration = Duration::from_secs(3);
/// How long a client may take to say who it is and to prove it.
const ENTERING: Duration = Duration::from_secs(20);
/// How many may be about to do so. Not counted among the sessions: whoever has
/// no token takes nobody's place.
const AT_THE_DOOR: usize = 256;

/// The two signals to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    /// No more statements are begun.
    pub(super) soon: CancellationToken,
    /// Those under way end.
    pub(super) now: CancellationToken,
}

/// What every connection gets.
#[derive(Debug)]
pub struct Door {
    pub(super) app: Shared,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) tls: Option<Arc<TlsFiles>>,
    pub(super) allow_plaintext: bool,
    pub(super) cancels: Arc<Cancels>,
    sessions: Arc<Semaphore>,
}

impl Door {
    /// A door as `settings` say; reads the certificate.
    pub fn new(app: Shared, ids: Arc<dyn IdSource>, settings: &Pg) -> Result<Self, TlsError> {
        let pair = settings.tls_cert.as_ref().zip(settings.tls_key.as_ref());
        let tls = pair
            .map(|(cert, key)| {
                let names = ["pg.tls_cert", "pg.tls_key"];
                TlsFiles::open(names, cert, key, b"postgresql").map(Arc::new)
            })
            .transpose()?;
        Ok(Self {
            app,
            cancels: Cancels::new(Arc::clone(&ids)),
            ids,
            tls,
            allow_plaintext: settings.allow_plaintext,
            sessions: Arc::new(Semaphore::new(settings.max_connections as usize)),
        })
    }

    /// A place for a session, if there is one.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.sessions).try_acquire_owned().ok()
    }

    /// Serves `listener` until `stop`, then lets statements under way end, for
    /// [`GRACE`] at the most.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let door = Arc::new(self);
        if let Some(files) = &door.tls {
            tokio::spawn(tls::follow(Arc::clone(files), stop.clone()));
        }
        let stop = Stop {
            soon: stop,
            now: CancellationToken::new(),
        };
        let places = Arc::new(Semaphore::new(AT_THE_DOOR));
        let mut connections = JoinSet::new();
        loop {
            let place = tokio::select! {
                () = stop.soon.cancelled() => break,
                place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
            };
            let accepted = tokio::select! {
                () = stop.soon.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, mostly: others have to end first.
                    tracing::warn!(error = %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            connections.spawn(connection(
                Arc::clone(&door),
                stream,
                peer,
                place,
                stop.clone(),
            ));
            // Of those that are over, nothing is kept.
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        tokio::pin!(ended);
        if tokio::time::timeout(PATIENCE, &mut ended).await.is_ok() {
            return;
        }
        stop.now.cancel();
        if tokio::time::timeout(GRACE - PATIENCE, ended).await.is_err() {
            tracing::warn!("some connections did not end in time and were cut off");
        }
    }
}

/// One connection, from its first byte to its last.
async fn connection(
    door: Arc<Door>,
    stream: TcpStream,
    peer: SocketAddr,
    at_the_door: OwnedSemaphorePermit,
    stop: Stop,
) {
    // Small answers must not wait for the client's next packet; and a machine
    // that vanished must not hold a session for ever.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_keepalive(true);
    let entering = startup::enter(&door, stream, peer);
    let entered = tokio::select! {
        () = stop.soon.cancelled() => return,
        entered = tokio::time::timeout(ENTERING, entering) => entered,
    };
    drop(at_the_door);
    match entered {
        Ok(Ok(Some(entered))) => {
            let Entered {
                wire,
                asker,
                parameters,
                registered,
                place,
            } = *entered;
            Session::new(
                Arc::clone(&door.app),
                wire,
                asker,
                parameters,
                registered,
                stop,
            )
            .run()
            .await;
            drop(place);
        }
        Ok(Ok(None)) => {}
        Ok(Err(lost)) => tracing::debug!(error = %lost, "a connection ended before it began"),
        Err(_) => tracing::debug!("a client did not say in time who it is"),
    }
}
