//! Decompression with a cap: a bomb costs the cap and no more.

use std::io::Read;

use bytes::Bytes;

use super::{BodyError, ReceiveLimits};

/// A compression that bodies may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952, of one member or of many.
    Gzip,
    /// RFC 8878, of one frame or of many.
    Zstd,
}

impl Encoding {
    /// Its name in `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What the first bytes say. JSON begins with neither.
    pub fn of(body: &[u8]) -> Option<Self> {
        match body {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // A skippable frame before the first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The largest zstd window, 8 MiB: what RFC 8878 asks of every decoder, and
/// what every level up to 19 stays within. A frame may claim terabytes.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Below so many bytes out, the ratio is not looked at.
const RATIO_FREE: usize = 16 << 20;

/// How much is decompressed between two looks at the limits.
const STEP: usize = 64 << 10;

/// The body itself, or what it decompresses to. Compression is recognised by
/// the first bytes also where it was not declared; what comes out is not
/// looked into again.
///
/// # Errors
///
/// A [`BodyError`] for a body beyond the limits, a stream that is damaged or
/// breaks off, and a declaration that the bytes contradict. No more than
/// `max_body` and one step of memory is taken, whatever the stream claims.
pub fn decompress(
    body: Bytes,
    declared: Option<Encoding>,
    limits: &ReceiveLimits,
) -> Result<Bytes, BodyError> {
    if body.len() > limits.max_compressed {
        return Err(BodyError::TooLarge {
            limit: limits.max_compressed,
            when: "",
        });
    }
    let found = Encoding::of(&body);
    if let Some(declared) = declared
        && found != Some(declared)
        && !body.is_empty()
    {
        return Err(BodyError::Encoding {
            declared: declared.as_str(),
            found: found.map_or("not", Encoding::as_str),
        });
    }
    let out = match found {
        None => {
            if body.len() > limits.max_body {
                return Err(too_large(limits, ""));
            }
            return Ok(body);
        }
        Some(Encoding::Gzip) => {
            let stream = flate2::bufread::MultiGzDecoder::new(&body[..]);
            read(stream, Encoding::Gzip, body.len(), limits)?
        }
        Some(Encoding::Zstd) => {
            let fail = |error: std::io::Error| failed(Encoding::Zstd, &error);
            let mut stream = zstd::stream::read::Decoder::with_buffer(&body[..]).map_err(fail)?;
            stream.window_log_max(ZSTD_WINDOW_LOG).map_err(fail)?;
            read(stream, Encoding::Zstd, body.len(), limits)?
        }
    };
    Ok(Bytes::from(out))
}

fn read(
    mut stream: impl Read,
    encoding: Encoding,
    compressed: usize,
    limits: &ReceiveLimits,
) -> Result<Vec<u8>, BodyError> {
    let mut out = Vec::with_capacity((compressed * 4).min(limits.max_body));
    let mut step = vec![0; STEP];
    loop {
        let n = match stream.read(&mut step) {
            Ok(0) => return Ok(out),
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(encoding, &error)),
        };
        if out.len() + n > limits.max_body {
            return Err(too_large(limits, " when decompressed"));
        }
        out.extend_from_slice(&step[..n]);
        if out.len() > RATIO_FREE && out.len() / compressed > limits.max_ratio {
            return Err(BodyError::Ratio {
                limit: limits.max_ratio,
            });
        }
    }
}

fn too_large(limits: &ReceiveLimits, when: &'static str) -> BodyError {
    BodyError::TooLarge {
        limit: limits.max_body,
        when,
    }
}

fn failed(encoding: Encoding, error: &std::io::Error) -> BodyError {
    BodyError::Compression {
        encoding: encoding.as_str(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
