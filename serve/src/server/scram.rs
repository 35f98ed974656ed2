//! SCRAM-SHA-256 as PostgreSQL's protocol uses it (RFC 5802, RFC 7677), the
//! server's side: no sockets, no clock, no store.
//!
//! What is kept for a token proves nothing by itself: with `stored_key` a
//! server can check a proof, and nobody can make one.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_schemas::control::ScramVerifier;
use ring::{digest, hmac, pbkdf2};
use subtle::ConstantTimeEq as _;

/// Rounds of the hash. RFC 7677 asks for 4,096 at the least, to slow guessing
/// down; a token has 256 random bits, so that guessing is hopeless anyway.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("4096 is not zero");

/// The length of SHA-256.
const HASH: usize = digest::SHA256_OUTPUT_LEN;

/// The mechanism's name.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// The same, bound to the TLS connection.
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Why an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// The client does not speak SCRAM as it is written.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// The proof does not fit.
    #[error("the proof does not fit")]
    Refused,
}

fn mac(key: &[u8], message: &[u8]) -> [u8; HASH] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut out = [0; HASH];
    out.copy_from_slice(tag.as_ref());
    out
}

fn hash(bytes: &[u8]) -> [u8; HASH] {
    let mut out = [0; HASH];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// The salt of the token `id`. It is a function of the id, so that an id that
/// no token has gets one as well, and always the same: an answer must not tell
/// which ids there are. A salt keeps equal passwords apart, and tokens are
/// never equal.
fn salt(id: &str) -> [u8; 16] {
    let whole = hash(format!("cairn scram salt {id}").as_bytes());
    let mut out = [0; 16];
    out.copy_from_slice(&whole[..16]);
    out
}

/// What is kept of the token `id`, whose whole text is `text`.
pub fn verifier(id: &str, text: &str) -> ScramVerifier {
    let salt = salt(id);
    let mut salted = [0; HASH];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ITERATIONS,
        &salt,
        text.as_bytes(),
        &mut salted,
    );
    ScramVerifier {
        iterations: ITERATIONS.get(),
        salt: hex::encode(salt),
        stored_key: hex::encode(hash(&mac(&salted, b"Client Key"))),
        server_key: hex::encode(mac(&salted, b"Server Key")),
    }
}

/// A verifier for an id that no token has. Nothing fits it; `noise` is random.
pub fn decoy(id: &str, noise: &[u8; HASH]) -> ScramVerifier {
    ScramVerifier {
        iterations: ITERATIONS.get(),
        salt: hex::encode(salt(id)),
        stored_key: hex::encode(noise),
        server_key: hex::encode(hash(noise)),
    }
}

/// An exchange that waits for the client's proof.
#[derive(Debug)]
pub struct Waiting {
    verifier: ScramVerifier,
    client_first_bare: String,
    server_first: String,
    nonce: String,
    /// What the client has to repeat of its first message and of the channel.
    binding: String,
}

/// Reads the client's first message and makes the answer to it.
///
/// `endpoint` is the hash of the server's certificate where the connection is
/// under TLS and the server offered [`PLUS`]; `plus` whether the client took it.
pub fn begin(
    client_first: &[u8],
    verifier: ScramVerifier,
    nonce: &[u8; 18],
    endpoint: Option<&[u8]>,
    plus: bool,
) -> Result<(String, Waiting), ScramError> {
    let text = std::str::from_utf8(client_first).map_err(|_| ScramError::Malformed("not UTF-8"))?;
    let (flag, rest) = text
        .split_once(',')
        .ok_or(ScramError::Malformed("no channel binding flag"))?;
    let (authzid, bare) = rest
        .split_once(',')
        .ok_or(ScramError::Malformed("no user name"))?;
    if !authzid.is_empty() {
        return Err(ScramError::Malformed("an authorization identity is given"));
    }
    let mut bound = format!("{flag},,").into_bytes();
    match (flag, plus, endpoint) {
        ("n", false, _) | ("y", false, None) => {}
        // The client could have bound, and believes that the server cannot:
        // somebody in between took the offer away.
        ("y", false, Some(_)) => {
            return Err(ScramError::Malformed(
                "the offer of channel binding was lost",
            ));
        }
        ("p=tls-server-end-point", true, Some(hash)) => bound.extend(hash),
        _ => {
            return Err(ScramError::Malformed(
                "the channel binding is not supported",
            ));
        }
    }
    let mut parts = bare.split(',');
    let named = parts.next().is_some_and(|n| n.starts_with("n="));
    let client_nonce = parts.next().and_then(|r| r.strip_prefix("r="));
    let printable = |c: char| c.is_ascii_graphic();
    let client_nonce = client_nonce
        .filter(|n| named && !n.is_empty() && n.chars().all(printable))
        .ok_or(ScramError::Malformed("no user name or no nonce"))?;
    let nonce = format!("{client_nonce}{}", STANDARD.encode(nonce));
    let salt = hex::decode(&verifier.salt).unwrap_or_default();
    let server_first = format!(
        "r={nonce},s={},i={}",
        STANDARD.encode(salt),
        verifier.iterations
    );
    let waiting = Waiting {
        client_first_bare: bare.to_owned(),
        server_first: server_first.clone(),
        nonce,
        binding: STANDARD.encode(bound),
        verifier,
    };
    Ok((server_first, waiting))
}

impl Waiting {
    /// Checks the proof. The answer is the server's own proof.
    pub fn finish(self, client_final: &[u8]) -> Result<String, ScramError> {
        let text =
            std::str::from_utf8(client_final).map_err(|_| ScramError::Malformed("not UTF-8"))?;
        let (without_proof, proof) = text
            .rsplit_once(",p=")
            .ok_or(ScramError::Malformed("no proof"))?;
        let proof = STANDARD
            .decode(proof)
            .ok()
            .and_then(|p| <[u8; HASH]>::try_from(p).ok())
            .ok_or(ScramError::Malformed("the proof is no SHA-256"))?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|c| c.strip_prefix("c="));
        if binding != Some(&self.binding) {
            return Err(ScramError::Malformed("the channel binding does not fit"));
        }
        let nonce = parts.next().and_then(|r| r.strip_prefix("r="));
        // Whoever replays an old message has an old nonce.
        if nonce != Some(&self.nonce) {
            return Err(ScramError::Malformed("the nonce does not fit"));
        }
        let message = format!(
            "{},{},{without_proof}",
            self.client_first_bare, self.server_first
        );
        let stored_key = hex::decode(&self.verifier.stored_key).unwrap_or_default();
        let server_key = hex::decode(&self.verifier.server_key).unwrap_or_default();
        let signature = mac(&stored_key, message.as_bytes());
        let mut client_key = proof;
        for (byte, mask) in client_key.iter_mut().zip(signature) {
            *byte ^= mask;
        }
        let fits: bool = hash(&client_key).ct_eq(stored_key.as_slice()).into();
        if !fits {
            return Err(ScramError::Refused);
        }
        let own = mac(&server_key, message.as_bytes());
        Ok(format!("v={}", STANDARD.encode(own)))
    }
}

#[cfg(test)]
mod tests;
