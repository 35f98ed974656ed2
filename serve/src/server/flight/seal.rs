//! What clients carry about and bring back: tickets and handles.
//!
//! Each bears a mark that only this process can make, over what it stands for,
//! whose it is and how long it holds. Who brings another's, or one that was
//! changed, learns no more than that it is not theirs.

use cairn_schemas::{IdSource, Micros};
use ring::hmac;

/// Bytes of the mark.
const MARK: usize = 32;
/// Bytes of the time.
const TIME: usize = 8;

/// Why something that was brought back is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// It was made for somebody else, or by another process, or was changed.
    #[error("this ticket or handle was not given to this token by this server: ask again")]
    Foreign,
    /// It has held long enough.
    #[error("this ticket or handle has expired: ask again")]
    Expired,
}

/// Makes marks and checks them. Its key dies with the process.
#[derive(Debug)]
pub(super) struct Seal(hmac::Key);

impl Seal {
    /// With a new key.
    pub(super) fn new(ids: &dyn IdSource) -> Self {
        let mut secret = [0; 32];
        ids.fill(&mut secret);
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    /// `body`, for `whose` alone and until `expires`. `kind` keeps what was made
    /// for one use from another.
    pub(super) fn close(&self, kind: &str, whose: &str, expires: Micros, body: &[u8]) -> Vec<u8> {
        let time = expires.0.to_be_bytes();
        let mark = hmac::sign(&self.0, &marked(kind, whose, &time, body));
        [mark.as_ref(), &time, body].concat()
    }

    /// The body again.
    pub(super) fn open<'a>(
        &self,
        kind: &str,
        whose: &str,
        now: Micros,
        sealed: &'a [u8],
    ) -> Result<&'a [u8], Broken> {
        let (mark, rest) = sealed.split_at_checked(MARK).ok_or(Broken::Foreign)?;
        let (time, body) = rest.split_at_checked(TIME).ok_or(Broken::Foreign)?;
        hmac::verify(&self.0, &marked(kind, whose, time, body), mark)
            .map_err(|_| Broken::Foreign)?;
        let expires = time.try_into().map(i64::from_be_bytes);
        match expires {
            Ok(expires) if now < Micros(expires) => Ok(body),
            _ => Err(Broken::Expired),
        }
    }
}

/// What the mark is over. Lengths first, so that no two runs of parts are the
/// same bytes.
fn marked(kind: &str, whose: &str, time: &[u8], body: &[u8]) -> Vec<u8> {
    let mut all = b"cairn flight 1".to_vec();
    for part in [kind.as_bytes(), whose.as_bytes(), time, body] {
        all.extend((part.len() as u64).to_be_bytes());
        all.extend(part);
    }
    all
}

#[cfg(test)]
mod tests;
