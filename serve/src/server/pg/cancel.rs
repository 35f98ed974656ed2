//! Who may stop which session's statement: whoever has the number and the
//! secret that the session was given, and nobody else.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cairn_schemas::IdSource;
use parking_lot::Mutex;
use pgwire::messages::startup::SecretKey;
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;

/// One session, as others may reach it.
#[derive(Debug)]
struct Target {
    key: Vec<u8>,
    /// What stops the statement that runs now.
    running: Mutex<Option<CancellationToken>>,
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Cancels {
    ids: Arc<dyn IdSource>,
    sessions: Mutex<HashMap<i32, Arc<Target>>>,
}

impl Cancels {
    pub(super) fn new(ids: Arc<dyn IdSource>) -> Arc<Self> {
        Arc::new(Self {
            ids,
            sessions: Mutex::default(),
        })
    }

    /// A number and a secret for a new session. Clients of protocol 3.0 have
    /// room for four bytes of it; the number is random as well.
    pub(super) fn register(self: &Arc<Self>, long: bool) -> Registered {
        let mut key = vec![0; if long { 32 } else { 4 }];
        self.ids.fill(&mut key);
        let target = Arc::new(Target {
            key,
            running: Mutex::default(),
        });
        let mut sessions = self.sessions.lock();
        let pid = loop {
            let mut bytes = [0; 4];
            self.ids.fill(&mut bytes);
            let pid = i32::from_be_bytes(bytes) & i32::MAX;
            if pid != 0 && !sessions.contains_key(&pid) {
                break pid;
            }
        };
        sessions.insert(pid, Arc::clone(&target));
        Registered {
            pid,
            target,
            all: Arc::clone(self),
        }
    }

    /// Stops the statement of session `pid`, if `key` is its secret. Whoever
    /// asks is told nothing either way.
    pub(super) fn request(&self, pid: i32, key: &[u8]) {
        let target = self.sessions.lock().get(&pid).cloned();
        let Some(target) = target else {
            return;
        };
        if bool::from(target.key.as_slice().ct_eq(key))
            && let Some(running) = target.running.lock().as_ref()
        {
            running.cancel();
        }
    }
}

/// A session's place among those that can be reached.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) pid: i32,
    target: Arc<Target>,
    all: Arc<Cancels>,
}

impl Registered {
    /// The secret, for the session's client.
    pub(super) fn key(&self) -> SecretKey {
        match <[u8; 4]>::try_from(self.target.key.as_slice()) {
            Ok(four) => SecretKey::I32(i32::from_be_bytes(four)),
            Err(_) => SecretKey::Bytes(Bytes::copy_from_slice(&self.target.key)),
        }
    }

    /// A statement begins: what stops it.
    pub(super) fn begin(&self) -> Running {
        let token = CancellationToken::new();
        *self.target.running.lock() = Some(token.clone());
        Running {
            token,
            target: Arc::clone(&self.target),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.all.sessions.lock().remove(&self.pid);
    }
}

/// A statement that can be stopped. What comes after its end stops nothing,
/// and not the next one either.
#[derive(Debug)]
pub(super) struct Running {
    token: CancellationToken,
    target: Arc<Target>,
}

impl Running {
    /// What is cancelled when somebody stops it.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.target.running.lock() = None;
    }
}

#[cfg(test)]
mod tests;
